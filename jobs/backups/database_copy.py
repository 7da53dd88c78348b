"""The copy of a database that a migration has left (`jobs/store/databases/sqlite_copy.py`), read like a backup."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from jobs.backups.archive import Manifest, sha256_of
from jobs.errors import BackupError

_MAGIC = b"SQLite format 3\0"


def is_database(source: Path) -> bool:
    """Return whether the file is an SQLite database. Raises OSError."""
    with source.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_copy(source: Path) -> Manifest:
    """Check the copy of a database, and return what it holds. Raises BackupError, OSError."""
    log = source.with_name(f"{source.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BackupError(f"{source} is a database that is in use, not a copy: {log.name} holds a part of it.")
    try:
        # Immutable: no log is looked for or written beside the copy.
        with closing(sqlite3.connect(f"file:{quote(str(source))}?immutable=1", uri=True)) as copy:
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise BackupError(f"{source} is damaged ({found}).")
            schema = copy.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            jobs = copy.execute("SELECT count(*) FROM job").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupError(f"{source} is no database of captionq, or is damaged ({error}).") from error
    with source.open("rb") as file:
        return Manifest("", schema, source.stat().st_mtime, jobs, sha256_of(file))
