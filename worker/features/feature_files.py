"""The files of the feature cache: one for each image and model, the least recently used removed first. Imports no mlx."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: The end of the names of complete files.
ENDING = ".safetensors"
#: The end of the names of files that are being written, and the seconds after which such a file is a dead process's.
UNFINISHED = ".new"
_DEAD_AFTER = 3600.0
#: The share of the budget that is left when files have been removed, so that they are not counted again with every image.
_FILLED = 0.9


class FeatureFile(NamedTuple):
    """A complete file."""

    path: Path
    size: int
    #: Time of its last use, in seconds since the epoch.
    used: float


def feature_files(folder: Path) -> Iterator[FeatureFile]:
    """Yield the complete files in no order. Another process may remove files meanwhile."""
    for entry in _entries(folder):
        if entry.name.endswith(ENDING):
            with suppress(FileNotFoundError):
                found = entry.stat()
                yield FeatureFile(Path(entry.path), found.st_size, found.st_mtime)


def shrink(folder: Path, budget: int) -> int:
    """Remove the least recently used files if all of them take more than `budget` bytes; return the bytes that are left.

    Also removes what a dead process left half-written.
    """
    for entry in _entries(folder):
        if entry.name.endswith(UNFINISHED):
            with suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _DEAD_AFTER:
                    Path(entry.path).unlink()
    files = sorted(feature_files(folder), key=lambda file: file.used)
    held = sum(file.size for file in files)
    if held <= budget:
        return held
    for file in files:
        file.path.unlink(missing_ok=True)
        held -= file.size
        if held <= budget * _FILLED:
            break
    return held


def clear(folder: Path) -> tuple[int, int]:
    """Remove all files; return their number and their bytes. Files that a worker writes meanwhile stay."""
    removed, size = 0, 0
    for file in feature_files(folder):
        file.path.unlink(missing_ok=True)
        removed, size = removed + 1, size + file.size
    return removed, size


def write(path: Path, data: bytes) -> None:
    """Write a file in one piece: a reader finds the whole file or none. Raises OSError.

    It is not forced onto the disk. A file that a power failure has torn is found by its digest, and computed again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of the folders of all models."""
    with suppress(FileNotFoundError), os.scandir(folder) as models:
        for model in models:
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(model.path) as entries:
                yield from entries
