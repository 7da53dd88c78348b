"""Locks between processes, on files (flock). The system lets go of a process' locks when it ends, even by kill −9."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def try_lock(file: IO[Any], kind: int) -> bool:
    """Take a lock (`fcntl.LOCK_SH` or `fcntl.LOCK_EX`) without waiting; return whether that succeeded."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on this file for the block. Waits for other processes that hold it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
