"""Files that survive a power failure: their bytes and their names are on the disk before the caller goes on."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO


def write_durably(path: Path, content: str) -> None:
    """Write a small file, in place of one that may be there: a reader finds the old content or the whole new content."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with new.open("w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def open_private(path: Path) -> BinaryIO:
    """Make a file that only its owner can read, and open it for writing. It must not exist. Raises OSError."""
    # Not by a change of its mode, which some file systems refuse (SMB, exFAT).
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def sync(path: Path, *, may_refuse: bool = False) -> None:
    """Put a file's bytes, or the names in a folder, on the disk. Raises OSError; `may_refuse`: not if the sync is refused."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if may_refuse else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk. Some shared folders refuse, and their servers do it by themselves."""
    sync(folder, may_refuse=True)
