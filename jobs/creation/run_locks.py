"""Lock files of the commands that run for a data folder. Each command holds its file for as long as it lives.

The system releases the lock even after kill −9, so another command can tell a live run from a dead one that left jobs behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO

from jobs.configuration.settings import Settings
from jobs.disk.durable_files import write_durably
from jobs.file_locks import exclusive, lock, try_lock
from jobs.store.tables import Batch, BatchKind

_SUFFIX = ".lock"


class RunLocks:
    """The lock files in `runs/` of a data folder, one for each batch whose command has not tidied up."""

    def __init__(self, settings: Settings) -> None:
        settings.make_folders()
        self._folder = settings.run_dir

    @cached_property
    def maker(self) -> str:
        """The `maker` of the batches of this data folder, made when it is first asked for: a look writes nothing."""
        return _maker(self._folder / "maker")

    @contextmanager
    def hold(self, batch: Batch) -> Iterator[None]:
        """Hold the lock of a batch's run for the block. To be entered before the batch is in the store."""
        batch.maker = self.maker
        path = self._path(batch.id)
        with _locked(path):
            yield

    def dead(self, batches: Iterable[Batch]) -> set[str]:
        """Return the ids of the batches whose command has ended in any way. Such a batch never gets a live command again.

        Batches of HTTP requests belong to the server and never die. A run of another data folder, in a shared database, counts
        as live: its lock file is not here.
        """
        return {batch.id for batch in batches if batch.kind == BatchKind.RUN and self._has_ended(batch)}

    def held(self) -> set[str]:
        """Return the ids of the batches of this data folder whose command lives."""
        return {path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}") if not _is_free(path)}

    def tidy(self, open_batches: Collection[str]) -> None:
        """Remove the lock files of runs that have ended and left no open jobs."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.name.removesuffix(_SUFFIX) in open_batches:
                continue
            with suppress(FileNotFoundError), path.open("rb") as file:
                # A new run makes its file before its batch, and checks the file again once it holds the lock.
                if try_lock(file, fcntl.LOCK_EX):
                    path.unlink()

    def _has_ended(self, batch: Batch) -> bool:
        if batch.maker is None:
            # Queued by a command that did not wait for the jobs, or by a version without lock files.
            return True
        if batch.maker != self.maker:
            return False
        return _is_free(self._path(batch.id))

    def _path(self, batch_id: str) -> Path:
        return self._folder / f"{batch_id}{_SUFFIX}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        file = path.open("ab")
        lock(file, fcntl.LOCK_EX)
        # `tidy` of another command may have removed the file just before.
        if _is(path, file):
            break
        file.close()
    try:
        yield
    finally:
        # Without the file the run counts as ended, as with a file that is not locked.
        path.unlink(missing_ok=True)
        file.close()


def _is_free(path: Path) -> bool:
    """Check whether no command holds this lock file, or the file is gone."""
    try:
        with path.open("rb") as file:
            return try_lock(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return True


def _is(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _maker(path: Path) -> str:
    """Return the name of a data folder, made once, also by processes that ask at the same moment."""
    if not path.exists():
        # Not by a hard link: SMB and exFAT have none.
        with exclusive(path.with_name("maker.guard")):
            if not path.exists():
                write_durably(path, f"data_{secrets.token_hex(8)}")
    return path.read_text()
