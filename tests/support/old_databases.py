"""Databases as older versions of captionq left them, in the data folder of a test."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from jobs.configuration.settings import Settings
from tools.old_databases.dump import load
from tools.old_databases.rows import PICTURES, WORKER

FOLDER = Path(__file__).parents[1] / "fixtures/databases"
#: The oldest version, and the one before the newest.
OLDEST = "0001"

#: Rows by their tables, without an order.
Content = Mapping[str, list[Mapping[str, Any]]]


def bring_old_database(settings: Settings, version: str, pictures: Path | None = None) -> Path:
    """Put the database of a version into the data folder, and return its file. Its worker is the data folder's own.

    Args:
        pictures: the folder of the pictures that the jobs are about; None: it does not exist.
    """
    settings.make_folders()
    file = settings.data_dir / "captionq.db"
    text = (FOLDER / f"{version}.sql").read_text()
    load(text if pictures is None else text.replace(PICTURES, f"{pictures.as_uri()}/"), file)
    (settings.data_dir / "worker.name").write_text(WORKER)
    return file


def content_of(file: Path) -> Content:
    """Return the rows of an SQLite database."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM '{name}'")] for name in tables}


def version_of(file: Path) -> str:
    """Return the version of the tables of an SQLite database, which is whole. Raises AssertionError if it is damaged."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
