"""The lock that says whether a worker runs for a data folder. Cheap to import, because the command line asks often."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from jobs.configuration.settings import Settings
from jobs.errors import AlreadyRunningError
from jobs.file_locks import try_lock

#: The content of the file when no worker runs, and the last one did not die.
_ENDED = "ended\n"
#: Seconds for which `is_running` may hold the lock.
CHECK_SECONDS = 0.2


class WorkerOwner(StrEnum):
    """The command that a worker belongs to, and that ends it."""

    TERMINAL = "captionq work"
    #: `captionq caption` or `captionq serve`: the worker ends with the command that started it.
    RUN = "another command of captionq"
    #: No command: `captionq ask` left the worker behind, and it ends by itself when it is idle.
    NOBODY = "captionq ask"


@dataclass(frozen=True)
class RunningWorker:
    """A live worker of a data folder."""

    pid: int
    owner: WorkerOwner


def running_worker(settings: Settings) -> RunningWorker | None:
    """Return the worker that runs for this data folder; None: none runs."""
    if not is_running(settings):
        return None
    words = settings.worker_lock.read_text().splitlines()
    if len(words) < 2:  # the worker has yet to write the file, or an older version runs
        return RunningWorker(int(words[0]) if words and words[0].isdigit() else 0, WorkerOwner.TERMINAL)
    return RunningWorker(int(words[0]), WorkerOwner(words[1]))


def is_running(settings: Settings) -> bool:
    """Whether a worker runs for this data folder."""
    settings.make_folders()
    with settings.worker_lock.open("a") as lock:
        return not try_lock(lock, fcntl.LOCK_SH)


@dataclass
class HeldLock:
    """The lock, as the worker holds it that has it now."""

    #: Whether a worker died whose jobs no worker has taken back yet. What is left running by one that ended is not to blame.
    died: bool


@contextmanager
def worker_lock(settings: Settings, owner: WorkerOwner = WorkerOwner.TERMINAL) -> Iterator[HeldLock]:
    """Hold the lock during the block, a worker's life. The system releases it even after kill −9. Raises AlreadyRunningError.

    At the end of the block the file tells the next worker that this one has ended, unless `died` is true by then.
    """
    settings.make_folders()
    settings.worker_lock.touch()
    with settings.worker_lock.open("r+") as lock:
        if not try_lock(lock, fcntl.LOCK_EX):
            # Another process in `is_running` may hold the lock for a moment.
            time.sleep(CHECK_SECONDS)
            if not try_lock(lock, fcntl.LOCK_EX):
                raise _already_running(lock, settings)
        held = HeldLock(died=lock.read() != _ENDED)
        _write(lock, f"{os.getpid()}\n{owner}\n")
        try:
            yield held
        finally:
            if not held.died:
                _write(lock, _ENDED)


def _write(lock: IO[str], content: str) -> None:
    # On a full disk the content is missing, and the lock holds.
    with suppress(OSError):
        lock.seek(0)
        lock.truncate()
        lock.write(content)
        lock.flush()


def _already_running(lock: IO[str], settings: Settings) -> AlreadyRunningError:
    lock.seek(0)
    pid = lock.readline().strip()
    pid = pid if pid.isdigit() else "unknown"
    return AlreadyRunningError(
        f"A worker (PID {pid}) is already running for {settings.data_dir}; only one is allowed. "
        "Stop it, or set CAPTIONQ_DATA_DIR to another folder."
    )
