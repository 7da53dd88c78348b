"""Migrations in a process that kills itself at a chosen point."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from jobs.configuration.settings import Settings
from jobs.store.connection import open_database
from tests.support.fork_server import fork_server


class MigrationKills:
    """Openings of a data folder's database, each in a process of its own."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.data_dir
        self._context = fork_server()

    def open(self, point: int = 0) -> bool:
        """Open the database in a process that is killed before its point of this number; 0: it is not killed.

        Points are operations on the files of the copy, the end of each migration, and the commit. Returns whether it was killed.
        """
        process = self._context.Process(target=_open, args=(self._data, point))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0


def _open(data: Path, point: int) -> None:
    points, beside = 0, str(data / "captionq.db.")

    def reached() -> None:
        nonlocal points
        points += 1
        if points == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_file(name: str, arguments: tuple[Any, ...]) -> None:
        if name in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(beside):
            reached()

    def on_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "alembic_version" in statement and statement.startswith("UPDATE"):
            reached()

    sys.addaudithook(on_file)
    event.listen(Engine, "before_cursor_execute", on_statement)
    event.listen(Engine, "commit", lambda _: reached())
    open_database(Settings(data_dir=data)).dispose()
