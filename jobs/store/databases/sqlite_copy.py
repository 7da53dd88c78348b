"""The copy of an SQLite database that a migration leaves beside it: the way back, if the new version is not wanted."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from jobs.disk.durable_files import sync
from jobs.errors import DiskFullError

#: Copies that are kept, the newest ones.
KEPT = 2
#: Bytes that have to be free beyond the size of the copy.
SPARE = 10_000_000


def copies_of(database: Path) -> list[Path]:
    """Return the copies that migrations have left, the newest last."""
    pattern = re.compile(re.escape(database.name) + r"\.before-\d{4}")
    return sorted(path for path in database.parent.iterdir() if pattern.fullmatch(path.name))


def copy_before(database: Path, version: str) -> Path:
    """Copy the committed content of the database to `NAME.before-VERSION`, on the disk, and remove older copies.

    The copy is whole or not there. Another connection may have a transaction open: the copy holds nothing of it.

    Raises DiskFullError, OSError, sqlite3.Error.
    """
    target = database.with_name(f"{database.name}.before-{version}")
    unfinished = database.with_name(f"{database.name}.copying")
    _remove(unfinished)
    try:
        with closing(sqlite3.connect(database)) as source:
            _check_room(database, source)
            # Made first: SQLite would make it readable for others.
            os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL, database.stat().st_mode & 0o777))
            with closing(sqlite3.connect(unfinished)) as copy:
                # A journal that a kill leaves would belong to another file later.
                copy.execute("PRAGMA journal_mode = OFF")
                source.backup(copy)
                # One file instead of a database and its log.
                copy.execute("PRAGMA journal_mode = DELETE")
        sync(unfinished)
        unfinished.replace(target)
        sync(database.parent)
    finally:
        _remove(unfinished)
    for old in copies_of(database)[:-KEPT]:
        old.unlink()
    return target


def _check_room(database: Path, source: sqlite3.Connection) -> None:
    size = _pragma(source, "page_count") * _pragma(source, "page_size")
    free = shutil.disk_usage(database.parent).free
    if free < size + SPARE:
        raise DiskFullError(
            f"This version of captionq changes the tables of {database}, and copies the database first. The copy needs "
            f"{_megabytes(size + SPARE)} MB in {database.parent}, where {_megabytes(free)} MB are free. Nothing was changed: "
            "free some space, and run the command again."
        )


def _remove(unfinished: Path) -> None:
    for rest in ("", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + rest).unlink(missing_ok=True)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _megabytes(size: int) -> int:
    return -(-size // 1_000_000)
