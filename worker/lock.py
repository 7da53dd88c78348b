"""The lock that says whether a worker runs for a data folder. Cheap to import, because the command line asks often."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from jobs.errors import AlreadyRunningError
from jobs.file_locks import try_lock
from jobs.settings import Settings

#: Seconds for which `is_running` may hold the lock.
CHECK_SECONDS = 0.2


def is_running(settings: Settings) -> bool:
    """Whether a worker runs for this data folder."""
    settings.make_folders()
    with settings.worker_lock.open("a") as lock:
        return not try_lock(lock, fcntl.LOCK_SH)


@contextmanager
def worker_lock(settings: Settings) -> Iterator[None]:
    """Hold the lock during the block, a worker's life. The system releases it even after kill −9. Raises AlreadyRunningError."""
    settings.make_folders()
    with settings.worker_lock.open("a+") as lock:
        if not try_lock(lock, fcntl.LOCK_EX):
            # Another process in `is_running` may hold the lock for a moment.
            time.sleep(CHECK_SECONDS)
            if not try_lock(lock, fcntl.LOCK_EX):
                raise _already_running(lock, settings)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _already_running(lock: IO[str], settings: Settings) -> AlreadyRunningError:
    lock.seek(0)
    pid = lock.read().strip() or "unknown"
    return AlreadyRunningError(
        f"A worker (PID {pid}) is already running for {settings.data_dir}; only one is allowed. "
        "Stop it, or set CAPTIONQ_DATA_DIR to another folder."
    )
