"""The data folder without any other process, for changes that replace the whole database."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from jobs.configuration.settings import Settings
from jobs.errors import BackupError
from jobs.file_locks import lock_within

#: Seconds within which the processes of a server that was just stopped end.
STOPPING_SECONDS = 1.0


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep workers, servers and runs off the data folder for the block. Raises BackupError if one uses it."""
    settings.make_folders()
    in_use = BackupError(
        f"captionq runs with {settings.data_dir}. Stop it first: captionq stop, or Ctrl-C where it runs."
    )
    with (settings.broker_dir / "users.lock").open("ab") as users, settings.worker_lock.open("ab") as worker:
        locked: tuple[IO[bytes], ...] = (users, worker)
        if not all(lock_within(lock, fcntl.LOCK_EX, STOPPING_SECONDS) for lock in locked):
            raise in_use
        yield
