"""Walking folders for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from jobs.images.allowed_roots import is_below
from jobs.images.cloud_files import placeholder_of
from jobs.images.formats.container_kinds import KINDS
from jobs.images.walking.file_endings import split_name
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_images import FoundImages, in_parts
from jobs.images.walking.left_out import LeftOut
from jobs.images.walking.packages import package_kind
from jobs.images.walking.shots import left_out_of_shots
from jobs.objects.paths import is_object

_EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .heic .heif .hif .avif".split()  # noqa: SIM905
)


@cache
def image_extensions() -> frozenset[str]:
    """Return the extensions of files in folders that are taken for images. A file that the user names is always taken.

    RAW photographs, PDFs and videos are taken if the extra that reads them is installed.
    """
    return _EXTENSIONS.union(*(kind.extensions for kind in KINDS.values() if kind.is_installed))


def has_image_extension(name: str) -> bool:
    """Check whether the name has an image's extension."""
    return split_name(name)[1].lower() in image_extensions()


def is_image_name(name: str) -> bool:
    """Check whether a file of this name counts as an image; hidden files (`._IMG_1.jpg` of other systems) do not."""
    return not name.startswith(".") and has_image_extension(name)


def images_among(names: Sequence[str]) -> list[str]:
    """Return the names that have an image's extension. For very many names: in a third of the time of `has_image_extension`."""
    extensions = image_extensions()
    return [
        name for name in names if name[name.rfind(".") :].lower() in extensions and name[: name.rfind(".")].strip(".")
    ]


def find_images(
    paths: Sequence[Path],
    *,
    recursive: bool,
    roots: Sequence[Path] | None = None,
    only: FileFilter | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Path]:
    """Yield absolute paths of the images that `find_by_folder` finds."""
    for found in find_by_folder(paths, recursive=recursive, roots=roots, only=only, left_out=left_out):
        yield from found.paths


def find_by_folder(
    paths: Sequence[Path],
    *,
    recursive: bool,
    roots: Sequence[Path] | None = None,
    only: FileFilter | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[FoundImages]:
    """Yield the images among and below `paths`, each once, in the order of their names, with their absolute folders.

    Nothing is opened: a dangling link or an unreadable folder comes out like an image, and its own job then reports the error.
    Hidden folders are left out. Links to folders are followed, but never in a circle, and never out of the `roots`, if there
    are any. Packages and system folders are entered only if they are named.

    Args:
        paths: files and folders that exist.
        recursive: also look into subfolders.
        roots: folders that the walk must not leave.
        only: the files that are taken, by their paths relative to the named folder; of a named file, by its name.
        left_out: gets the files and folders that are left out.
    """
    only, left_out = only or FileFilter(), left_out or LeftOut()
    walk = _Walk(roots, only, left_out, recursive=recursive)
    # One walk enters no folder twice, and would remember a million names for nothing.
    seen: set[tuple[object, str]] | None = set() if len(paths) > 1 else None
    for path in paths:
        if is_object(path):
            # Imported here: few runs list objects.
            from jobs.images.walking.object_walk import find_objects

            yield from find_objects(path, recursive=recursive, roots=roots, only=only, left_out=left_out)
            continue
        # Not resolved: the text goes beside the name that was given.
        for found in walk.named(Path(os.path.abspath(path))):  # noqa: PTH100
            yield found if seen is None else _unseen(found, seen)


def _unseen(found: FoundImages, seen: set[tuple[object, str]]) -> FoundImages:
    """Return the images that are not among those that were seen, and note them."""
    place = _identity(found.folder)
    names = [name for name in found.names if (place, name) not in seen]
    seen.update((place, name) for name in names)
    return FoundImages(found.folder, names)


def _identity(folder: Path) -> object:
    """Return the folder's device and inode, which are equal under all of its names."""
    try:
        status = folder.stat()
    except OSError:
        return folder
    return status.st_dev, status.st_ino


class _Walk:
    """A walk through folders that enters none twice with the same patterns."""

    def __init__(self, roots: Sequence[Path] | None, only: FileFilter, left_out: LeftOut, *, recursive: bool) -> None:
        self._roots = roots
        self._only = only
        self._left_out = left_out
        self._recursive = recursive
        #: Device and inode; with patterns, which are relative to a named folder, also that folder.
        self._visited: set[tuple[int, int, Path | None]] = set()

    def named(self, path: Path) -> Iterator[FoundImages]:
        """Yield the images of a path that the user named: of a folder, or the file itself, whatever its extension."""
        if path.is_dir():
            yield from self._images(path, path)
        elif not self._only.takes(path, path.parent):
            self._left_out.excluded += 1
        elif (real := placeholder_of(path.name)) is not None:
            self._left_out.in_cloud.append(path.with_name(real))
        elif self._only.is_too_old(path):
            self._left_out.older += 1
        else:
            yield FoundImages(path.parent, [path.name])

    def _images(self, folder: Path, base: Path) -> Iterator[FoundImages]:
        """Yield the images in a folder, then the images below it."""
        try:
            if self._has_visited(folder, base):
                return
            files, folders = _listed(folder)
        except OSError:
            yield FoundImages(folder.parent, [folder.name])
            return
        names = self._images_of(folder, files, base)
        if self._only.takes_all:
            yield from in_parts(folder, names)
        else:
            # One at a time: a filter may take long, or end the walk.
            yield from (FoundImages(folder, [name]) for name in names if self._takes(folder / name, base))
        for name in folders if self._recursive else ():
            below = folder / name
            if not self._only.takes_folder(below, base):
                self._left_out.excluded += 1
            elif _leads_into_package(below):
                self._left_out.packages.append(below)
            else:
                yield from self._images(below, base)

    def _images_of(self, folder: Path, files: Sequence[str], base: Path) -> list[str]:
        """Return the names of the images among a folder's files. Images in iCloud, and those of another's shot, are left out."""
        if of_shots := left_out_of_shots(files):
            self._left_out.of_shots += sum(map(is_image_name, of_shots))
            files = [name for name in files if name not in of_shots]
        for name in [name for name in files if name.startswith(".")]:
            self._note_placeholder(folder / (placeholder_of(name) or name), base)
        files = [name for name in files if not name.startswith(".")]
        images = images_among(files)
        taken = set(images)
        # Half of a large folder: a path of a text would be made in vain.
        self._left_out.add_others([name for name in files if name not in taken])
        return images

    def _note_placeholder(self, path: Path, base: Path) -> None:
        """Note a file that is in iCloud only, by its own name."""
        if not is_image_name(path.name):
            self._left_out.add_other(path.name)
        elif self._only.takes(path, base):
            self._left_out.in_cloud.append(path)
        else:
            self._left_out.excluded += 1

    def _takes(self, path: Path, base: Path) -> bool:
        """Check whether the filter takes an image; else count it."""
        if not self._only.takes(path, base):
            self._left_out.excluded += 1
        elif self._only.is_too_old(path):
            self._left_out.older += 1
        else:
            return True
        return False

    def _has_visited(self, folder: Path, base: Path) -> bool:
        """Check whether the walk was in this folder, or may not enter it; else note that it is there now. Raises OSError."""
        if self._roots is not None and not is_below(folder, self._roots):
            return True
        status = folder.stat()
        place = (status.st_dev, status.st_ino, base if self._only.has_patterns else None)
        if place in self._visited:
            return True
        self._visited.add(place)
        return False


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the folders in a folder, sorted. Raises OSError.

    Hidden files and folders are passed over, placeholders of files are not.
    """
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") and placeholder_of(name) is None:
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                # A link to itself.
                is_folder = False
            (folders if is_folder else files).append(name)
    return sorted(files), sorted(folders)


def _leads_into_package(folder: Path) -> bool:
    """Check whether a folder is a package or system folder, or a link to one."""
    return package_kind(folder.name) is not None or (
        folder.is_symlink() and package_kind(os.path.basename(os.path.realpath(folder))) is not None  # noqa: PTH119
    )
