"""The commands that run for a data folder. Each holds a lock file for as long as it lives; the system lets go of it even after
kill −9, so another command can tell a run that goes on from one that has left its jobs behind.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jobs.settings import Settings
from jobs.store.tables import Batch, BatchKind

_SUFFIX = ".lock"


class Runs:
    """The lock files in `runs/` of a data folder, one for each batch whose command has not tidied up."""

    def __init__(self, settings: Settings) -> None:
        settings.make_folders()
        self._folder = settings.run_dir
        #: What the batches of this data folder carry as their `maker`.
        self.maker = _maker(settings.run_dir / "maker")

    @contextmanager
    def hold(self, batch: Batch) -> Iterator[None]:
        """Be the live run of a batch. To be entered before the batch is in the store."""
        batch.maker = self.maker
        path = self._path(batch.id)
        with _locked(path):
            yield

    def dead(self, batches: Iterable[Batch]) -> set[str]:
        """Ids of those batches whose command has ended, however it ended. A batch never comes back from there.

        Batches of HTTP belong to the server and never die. A run of another data folder, which a shared database holds, is
        taken to live: its lock file is not here.
        """
        return {batch.id for batch in batches if batch.kind == BatchKind.RUN and self._has_ended(batch)}

    def tidy(self, open_batches: Collection[str]) -> None:
        """Remove the lock files of runs that have ended and left no open jobs."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.name.removesuffix(_SUFFIX) in open_batches:
                continue
            with suppress(FileNotFoundError), path.open("rb") as lock:
                # A run that is about to begin has its file before its batch: it looks again once it holds the lock.
                if _try(lock, fcntl.LOCK_EX):
                    path.unlink()

    def _has_ended(self, batch: Batch) -> bool:
        if batch.maker is None:
            # Queued by a command that stays for nothing, or before there were lock files.
            return True
        if batch.maker != self.maker:
            return False
        try:
            with self._path(batch.id).open("rb") as lock:
                return _try(lock, fcntl.LOCK_SH)
        except FileNotFoundError:
            return True

    def _path(self, batch_id: str) -> Path:
        return self._folder / f"{batch_id}{_SUFFIX}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        lock = path.open("ab")
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Somebody who tidied up may have removed it just before.
        if _is(path, lock):
            break
        lock.close()
    try:
        yield
    finally:
        lock.close()


def _is(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _try(lock: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _maker(path: Path) -> str:
    """The name of a data folder, made once; of two processes that make it at once one wins."""
    if not path.exists():
        new = path.with_name(f".{secrets.token_hex(4)}.tmp")
        new.write_text(f"data_{secrets.token_hex(8)}")
        with suppress(FileExistsError):
            path.hardlink_to(new)
        new.unlink()
    return path.read_text()
