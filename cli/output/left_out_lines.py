"""Lines of the summary about images and folders that a run left alone, and the way to have them captioned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from cli.output.left_out_photos import left_out_photos_lines
from cli.output.plurals import counted
from jobs.errors.install_commands import command_for_extra
from jobs.images.formats.container_kinds import KINDS, kind_of_extension
from jobs.images.walking.folder_walk import image_extensions
from jobs.images.walking.left_out import LeftOut
from jobs.images.walking.packages import is_photos_library, package_kind

#: Most extensions of other files that are named.
SHOWN_EXTENSIONS = 8


def skipped_lines(skipped: int, total: int, *, by_hand: int, added: int, writes_text: bool) -> Iterator[str]:
    """Say why images were skipped, of all images of the run. `writes_text`: it writes text files."""
    if by_hand:
        were, them = ("was", "it") if by_hand == 1 else ("were", "them")
        yield f"{counted(by_hand, 'text')} {were} written by hand: --force replaces {them} too"
    elif added:
        yield f"{counted(added, 'text')} had this addition already: to add another, ask another question"
    elif skipped and skipped == total:
        has = "has" if skipped == 1 else "have"
        what = "a .txt" if writes_text else "these files"
        yield f"{skipped} already {has} {what}: --existing replace asks again"


def left_out_lines(left_out: LeftOut) -> Iterator[str]:
    """Name the folders that were not entered, by kind, and the images that are not on this Mac."""
    kinds: dict[str, list[Path]] = {}
    for folder in left_out.packages:
        kinds.setdefault(package_kind(folder.name) or "package", []).append(folder)
    for kind, folders in kinds.items():
        it = "it" if len(folders) == 1 else "one"
        way = f"caption {it} with --photos-library" if is_photos_library(folders[0]) else f"name {it} to enter"
        yield f"{counted(len(folders), kind)} left out ({_first(folders)}): {way}"
    if images := left_out.in_cloud:
        are, them = ("is", "it") if len(images) == 1 else ("are", "them")
        yield (
            f"{counted(len(images), 'image')} {are} in iCloud, not on this Mac ({_first(images)}): "
            f"download {them} in Finder, then run this again"
        )
    if left_out.of_shots:
        files = counted(left_out.of_shots, "file")
        yield f"{files} of bursts and Live Photos left out, one text a shot: name a file to caption it too"
    yield from left_out_photos_lines(left_out.photos)
    yield from _unread_lines(left_out)


def _unread_lines(left_out: LeftOut) -> Iterator[str]:
    """Name the extras that read files which were left out."""
    unread: Counter[str] = Counter()
    for extension, count in left_out.others.items():
        kind = kind_of_extension(extension)
        if kind is not None and not KINDS[kind].is_installed:
            unread[kind] += count
    for kind, count in unread.items():
        words = KINDS[kind].words[count > 1]
        them = "it" if count == 1 else "them"
        yield f"{count} {words} left out. To read {them}: {command_for_extra(KINDS[kind].extra)}"


def nothing_line(paths: str, left_out: LeftOut) -> str:
    """Say that the paths hold no images, which files were looked for, and which others lie there."""
    # Of a library the lines about photos that were left out say more than extensions of files.
    of_library = is_photos_library(PurePath(paths))
    notes = [] if of_library else [f"looked for {' '.join(sorted(image_extensions()))}"]
    if others := left_out.others:
        extensions = [extension for extension, _ in others.most_common(SHOWN_EXTENSIONS) if extension]
        more = " …" if len(others) > SHOWN_EXTENSIONS else ""
        notes.append(f"{counted(others.total(), 'other file')}: {' '.join(extensions)}{more}".removesuffix(": "))
    if left_out.excluded:
        notes.append(f"{left_out.excluded} excluded")
    if left_out.older:
        notes.append(f"{left_out.older} older")
    what, why = "photos to caption" if of_library else "images", f" ({'; '.join(notes)})" if notes else ""
    return f"No {what} in {paths}{why}"


def _first(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]}, …"
