"""Live runs, known by lock files that the system releases."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.errors import DataFolderError
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind
from tests.support.rows import add_batch

#: Holds a batch until it is killed.
HOLD = """
import sys, time
from pathlib import Path
from typing import Any, NoReturn

import pytest
from jobs.creation.run_locks import RunLocks
from jobs.errors import DataFolderError
from jobs.configuration.settings import Settings
from jobs.store.tables import Batch
with RunLocks(Settings(data_dir=Path(sys.argv[1]))).hold(Batch(id=sys.argv[2], description="", model="demo")):
    print("held", flush=True)
    time.sleep(600)
"""


def a_batch(**more: Any) -> Batch:
    """Make a batch as the command line does."""
    return Batch(description="pictures", model="demo", **more)


def test_a_run_lives_while_it_holds_its_batch(settings: Settings) -> None:
    """The answer stays the same when asked again, and changes when the lock is released."""
    runs, batch = RunLocks(settings), a_batch()
    with runs.hold(batch):
        assert [RunLocks(settings).dead([batch]) for _ in range(3)] == [set()] * 3
    assert runs.dead([batch]) == {batch.id}


def test_a_killed_run_is_dead(settings: Settings) -> None:
    """The system releases the lock."""
    runs = RunLocks(settings)
    batch = a_batch(maker=runs.maker)
    command = [sys.executable, "-c", HOLD, str(settings.data_dir), batch.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert runs.dead([batch]) == set()
        os.kill(process.pid, signal.SIGKILL)
    assert runs.dead([batch]) == {batch.id}


def test_neither_requests_nor_runs_of_other_machines_are_taken_for_dead(settings: Settings, tmp_path: Path) -> None:
    """Their lock files are not here. A batch without a maker was left to the worker by a command that ended at once."""
    elsewhere = RunLocks(Settings(data_dir=tmp_path / "elsewhere"))
    other, left = a_batch(maker=elsewhere.maker), a_batch()
    posted = [a_batch(kind=BatchKind.FOLDER), a_batch(kind=BatchKind.LIST)]
    runs = RunLocks(settings)
    assert elsewhere.maker != runs.maker == RunLocks(settings).maker
    assert runs.dead([other, left, *posted]) == {left.id}
    assert elsewhere.dead([other]) == {other.id}


def test_lock_files_go_with_the_jobs_of_their_batch(settings: Settings) -> None:
    """A run removes its file. A killed one cannot: its file stays as long as the jobs that it left."""
    runs, live, ended, killed, left = RunLocks(settings), a_batch(), a_batch(), a_batch(), a_batch()
    with runs.hold(ended):
        assert runs.dead([ended]) == set()
    assert runs.dead([ended]) == {ended.id}
    assert list(settings.run_dir.glob("*.lock")) == []
    for batch in (killed, left):
        (settings.run_dir / f"{batch.id}.lock").touch()
    with runs.hold(live):
        runs.tidy({left.id})
        assert {path.stem for path in settings.run_dir.glob("*.lock")} == {live.id, left.id}
        assert runs.dead([live]) == set()


def test_only_batches_with_open_jobs_are_asked_about(store: Store) -> None:
    """A cancelled job is not open."""
    batch, _ = add_batch(store, 2)
    _, ended = add_batch(store, 1)
    store.cancel([job.id for job in ended])
    assert [one.id for one in store.open_batches()] == [batch.id]


def test_a_data_folder_without_hard_links_is_used(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """SMB and exFAT have none; a file system without locks is named."""

    def refused(*_: object) -> NoReturn:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert RunLocks(settings).maker == RunLocks(settings).maker
    monkeypatch.setattr("jobs.file_locks.fcntl.flock", refused)
    with pytest.raises(DataFolderError, match=r"cannot be locked .* on a local disk\."):
        Store(settings)
