"""Deliveries, undos and tables in a process that kills itself at its Nth step: an operation on a file, or a commit."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, event

from jobs.captions.outputs.answer_table import AnswerTable
from jobs.captions.outputs.tables import write_table
from jobs.captions.temporary_files import sweep_own
from jobs.captions.undo import undo_run
from jobs.configuration.settings import Settings
from jobs.store.store import Store
from jobs.store.tables import OPEN
from tests.support.fork_server import fork_server
from tests.support.outputs import write_files
from tests.support.rows import RESULT

#: The audit events of operations that change files. Each comes before its operation.
CHANGES = frozenset({"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.utime", "shutil.copyfile"})
Action = Literal["write", "undo", "tables"]


class FileKills:
    """A folder of images and the store of its jobs, which can be brought back to an earlier state."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._data = settings.data_dir
        self.folder = folder
        self._context = fork_server()

    def save(self, place: Path) -> None:
        """Copy the folder and the store. No process may have them open."""
        shutil.copytree(self.folder, place / "folder")
        shutil.copytree(self._data, place / "data")

    def bring_back(self, place: Path) -> None:
        """Bring the folder and the store back to a saved state."""
        for name, path in (("folder", self.folder), ("data", self._data)):
            shutil.rmtree(path)
            shutil.copytree(place / name, path)

    def perform(self, action: Action, point: int = 0) -> bool:
        """Perform the action in a process of its own, which is killed before its step `point`; 0: it is not killed.

        Returns whether it was killed; without enough steps the action is done.
        """
        process = self._context.Process(target=_perform, args=(action, self._data, self.folder, point))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), f"{action} ended with {process.exitcode}"
        return process.exitcode != 0


def _perform(action: Action, data: Path, folder: Path, point: int) -> None:
    if point:
        _die_at(point, folder)
    store = Store(Settings(data_dir=data))
    if action == "tables":
        write_table(folder / "captions.csv", [{"path": "photo.jpg", "caption": RESULT.text}], "csv")
        AnswerTable(["people"], [(folder / "photo.jpg").as_uri()]).write(folder / "answers.csv")
    elif action == "write":
        _write(store, folder)
    else:
        batches = {job.batch_id for job in store.jobs()}
        for batch_id in sorted(one for one in batches if one is not None):
            undone = undo_run(batch_id, store)
            assert not undone.failed
            assert not undone.left
    store.close()


def _write(store: Store, folder: Path) -> None:
    """Do the work of a worker that starts after its predecessor's death."""
    sweep_own([folder], "worker")
    store.recover("worker", died=False)
    for job in store.claim([job.id for job in store.jobs(statuses=OPEN)], "worker").values():
        write_files(store, job)
        store.succeed(job.id, RESULT)


def _die_at(point: int, folder: Path) -> None:
    """Kill this process before its step of this number."""
    steps, below = 0, os.fspath(folder) + os.sep

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name in CHANGES and isinstance(arguments[0], str | os.PathLike):
            changes = name != "open" or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if changes and os.fspath(arguments[0]).startswith(below):
                step()

    sys.addaudithook(hook)
    event.listen(Engine, "commit", lambda _: step())
