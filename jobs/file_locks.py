"""Locks between processes, on files (flock). The system releases the locks of a process that ends, even by kill −9."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jobs.errors import DataFolderError

#: Seconds between two tries of `lock_within`.
TRY_EVERY = 0.02


def lock(file: IO[Any], kind: int) -> None:
    """Take a lock (`fcntl.LOCK_SH` or `fcntl.LOCK_EX`), after waiting for processes that hold another lock.

    Raises DataFolderError if the file system has no locks.
    """
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        raise
    except OSError as error:
        raise DataFolderError(
            f"{file.name} cannot be locked ({error.strerror}). Set CAPTIONQ_DATA_DIR to a folder on a local disk."
        ) from error


def try_lock(file: IO[Any], kind: int) -> bool:
    """Take a lock without waiting; return whether that succeeded. Raises DataFolderError."""
    try:
        lock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(file: IO[Any], kind: int, seconds: float) -> bool:
    """Take a lock, after waiting for at most so many seconds; return whether that succeeded. Raises DataFolderError."""
    deadline = time.monotonic() + seconds
    while not try_lock(file, kind):
        if time.monotonic() >= deadline:
            return False
        time.sleep(TRY_EVERY)
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on this file for the block, after waiting for processes that hold it. Raises DataFolderError."""
    with path.open("w") as file:
        lock(file, fcntl.LOCK_EX)
        yield
