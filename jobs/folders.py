"""Walking folders for images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

#: What a file is called that is taken for an image inside a folder. A file that is named itself is always taken.
EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .heic .heif .hif .avif".split()  # noqa: SIM905
)


def has_image_extension(name: str) -> bool:
    """Whether the name ends as an image's."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image; hidden files (`._IMG_1.jpg` of other systems) do not."""
    return not name.startswith(".") and has_image_extension(name)


def is_below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether it lies below one of these, the links of both resolved: the rule for every path that others may name."""
    # `Path.resolve` raises where links lead in a circle.
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)


def find_images(paths: Sequence[Path], *, recursive: bool, roots: Sequence[Path] | None = None) -> Iterator[Path]:
    """Absolute paths of the images among and below `paths`, each once, in the order of their names.

    Nothing is opened: a dangling link, a folder called `x.png` or an unreadable folder comes out as if it were an image, and
    its own job then says what is wrong with it. Hidden folders are left out; linked ones are followed, but never in a circle,
    and never out of the `roots`, if there are any: neither names from there nor texts beside them are wanted then.
    """
    seen: set[Path] = set()
    visited: set[tuple[int, int]] = set()
    for path in paths:
        # Not resolved: the text goes beside the name that was given.
        absolute = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100
        found = _walk(absolute, visited, roots, recursive=recursive) if absolute.is_dir() else iter([absolute])
        for image in found:
            if image not in seen:
                seen.add(image)
                yield image


def _walk(
    folder: Path, visited: set[tuple[int, int]], roots: Sequence[Path] | None, *, recursive: bool
) -> Iterator[Path]:
    try:
        if roots is not None and not is_below(folder, roots):
            return
        status = folder.stat()
        if (status.st_dev, status.st_ino) in visited:
            return
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            found = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
    except OSError:
        yield folder
        return
    folders: list[str] = []
    for name, is_folder in found:
        if is_image_name(name):
            yield folder / name
        elif is_folder and recursive:
            folders.append(name)
    for name in folders:
        yield from _walk(folder / name, visited, roots, recursive=recursive)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False
