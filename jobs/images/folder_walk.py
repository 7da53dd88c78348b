"""Walking folders for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.images.allowed_roots import is_below
from jobs.images.packages import package_kind

#: Extensions of files in folders that are taken for images. A file that the user names is always taken.
EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .heic .heif .hif .avif".split()  # noqa: SIM905
)


def has_image_extension(name: str) -> bool:
    """Check whether the name has an image's extension."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122


def is_image_name(name: str) -> bool:
    """Check whether a file of this name counts as an image; hidden files (`._IMG_1.jpg` of other systems) do not."""
    return not name.startswith(".") and has_image_extension(name)


def find_images(
    paths: Sequence[Path],
    *,
    recursive: bool,
    roots: Sequence[Path] | None = None,
    left_out: list[Path] | None = None,
) -> Iterator[Path]:
    """Yield absolute paths of the images among and below `paths`, each once, in the order of their names.

    Nothing is opened: a dangling link, a folder called `x.png` or an unreadable folder comes out like an image, and its own job
    then reports the error. Hidden folders are left out. Links to folders are followed, but never in a circle, and never out of
    the `roots`, if there are any. Packages and system folders are entered only if they are named; all others are added to
    `left_out`.
    """
    walk = _Walk(roots, recursive=recursive, left_out=[] if left_out is None else left_out)
    seen: set[tuple[object, str]] = set()
    folder, place = None, None
    for path in paths:
        # Not resolved: the text goes beside the name that was given.
        absolute = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100
        for image in walk.images(absolute) if absolute.is_dir() else iter([absolute]):
            if image.parent != folder:
                folder = image.parent
                place = _identity(folder)
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

    def __init__(self, roots: Sequence[Path] | None, *, recursive: bool, left_out: list[Path]) -> None:
        self._roots = roots
        self._recursive = recursive
        self._left_out = left_out
        self._visited: set[tuple[int, int]] = set()

    def images(self, folder: Path) -> Iterator[Path]:
        """Yield the images in a folder, then the images below it."""
        try:
            if self._roots is not None and not is_below(folder, self._roots):
                return
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._visited:
                return
            self._visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
        except OSError:
            yield folder
            return
        folders: list[Path] = []
        for name, is_folder in found:
            if is_image_name(name):
                yield folder / name
            elif is_folder and self._recursive:
                folders.append(folder / name)
        for below in folders:
            if _leads_into_package(below):
                self._left_out.append(below)
            else:
                yield from self.images(below)


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
