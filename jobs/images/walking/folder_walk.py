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


def find_images(
    paths: Sequence[Path],
    *,
    recursive: bool,
    roots: Sequence[Path] | None = None,
    only: FileFilter | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Path]:
    """Yield absolute paths of the images among and below `paths`, each once, in the order of their names.

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
    folder, place = None, None
    for path in paths:
        if is_object(path):
            # Imported here: few runs list objects.
            from jobs.images.walking.object_walk import find_objects

            yield from find_objects(path, recursive=recursive, roots=roots, only=only, left_out=left_out)
            continue
        # Not resolved: the text goes beside the name that was given.
        for image in walk.named(Path(os.path.abspath(path))):  # noqa: PTH100
            if seen is None:
                yield image
                continue
            # Compared as text, which is quicker: a folder may have very many images.
            if (here := os.path.dirname(image)) != folder:  # noqa: PTH120
                folder = here
                place = _identity(image.parent)
            if (place, image.name) not in seen:
                seen.add((place, image.name))
                yield image


def _identity(folder: Path) -> object:
    """Return the folder's device and inode, which are equal under all of its names."""
    try:
        status = folder.stat()
    except OSError:
        return folder
    return status.st_dev, status.st_ino


class _Walk:
    """A walk through folders that enters none twice."""

    def __init__(self, roots: Sequence[Path] | None, only: FileFilter, left_out: LeftOut, *, recursive: bool) -> None:
        self._roots = roots
        self._only = only
        self._left_out = left_out
        self._recursive = recursive
        self._visited: set[tuple[int, int]] = set()

    def named(self, path: Path) -> Iterator[Path]:
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
            yield path

    def _images(self, folder: Path, base: Path) -> Iterator[Path]:
        """Yield the images in a folder, then the images below it."""
        try:
            if self._has_visited(folder):
                return
            with os.scandir(folder) as entries:
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if _is_shown(entry.name))
        except OSError:
            yield folder
            return
        folders: list[Path] = []
        of_shots = left_out_of_shots([name for name, is_folder in found if not is_folder])
        for name, is_folder in found:
            if is_folder and not self._recursive:
                continue
            placeholder = None if is_folder else placeholder_of(name)
            if not is_folder and name in of_shots:
                self._left_out.of_shots += is_image_name(name)
                continue
            if not is_folder and not is_image_name(placeholder or name):
                # Half of a large folder: a path of a text would be made in vain.
                self._left_out.add_other(placeholder or name)
                continue
            path = folder / (placeholder or name)
            if not (self._only.takes_folder(path, base) if is_folder else self._only.takes(path, base)):
                self._left_out.excluded += 1
            elif is_folder:
                folders.append(path)
            elif placeholder is not None:
                self._left_out.in_cloud.append(path)
            elif self._only.is_too_old(path):
                self._left_out.older += 1
            else:
                yield path
        for below in folders:
            if _leads_into_package(below):
                self._left_out.packages.append(below)
            else:
                yield from self._images(below, base)

    def _has_visited(self, folder: Path) -> bool:
        """Check whether the walk was in this folder, or may not enter it; else note that it is there now. Raises OSError."""
        if self._roots is not None and not is_below(folder, self._roots):
            return True
        status = folder.stat()
        place = (status.st_dev, status.st_ino)
        if place in self._visited:
            return True
        self._visited.add(place)
        return False


def _is_shown(name: str) -> bool:
    """Check whether a walk looks at this name: hidden files and folders are passed over, placeholders of files are not."""
    return not name.startswith(".") or placeholder_of(name) is not None


def _leads_into_package(folder: Path) -> bool:
    """Check whether a folder is a package or system folder, or a link to one."""
    return package_kind(folder.name) is not None or (
        folder.is_symlink() and package_kind(os.path.basename(os.path.realpath(folder))) is not None  # noqa: PTH119
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False
