"""SQLite: durable commits in write-ahead logging, and writers that have their turns."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from jobs.errors import DatabaseReplacedError

#: Seconds that a writer waits for another writer.
BUSY_TIMEOUT = 30
#: Milliseconds that SQLite waits for another writer before it is asked again. SQLite looks less and less often, and would miss
#: the pauses that bulk changes make for others.
_BUSY_TURN = 10
#: Seconds between two transactions of a bulk change: longer than a waiting writer sleeps between two looks.
PAUSE = 0.006
#: The value of the pragma `auto_vacuum` of a file that can be shortened in steps.
INCREMENTAL = 2
#: KiB of pages that each connection keeps. SQLite's own 2,000 KiB fill over hours in a server with many connections, and save
#: nothing that can be measured: the system keeps the file's pages too, for all connections and processes.
CACHE_KIB = 512
#: The option of a connection that is about to write: the value of the pragma `synchronous`.
_WRITES = "captionq_writes"
#: The option of an engine whose writers wait for another time (seconds) than BUSY_TIMEOUT.
WRITER_WAIT = "captionq_writer_wait"


def write_options(*, durable: bool) -> dict[str, Any]:
    """Return the options of a connection for a write transaction: is its commit to survive a power failure?

    FULL waits until the commit is on the disk. NORMAL keeps the order of the commits: a power failure takes back the last ones.
    """
    return {_WRITES: "FULL" if durable else "NORMAL"}


def prepare(connection: Any, _record: object) -> None:
    """Prepare a new connection."""
    # The driver's own transaction handling begins late and cannot begin IMMEDIATE: switched off, see `begin`.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT * 1000}",
        # On macOS fsync leaves data in the drive's cache. Elsewhere the pragma does nothing.
        "fullfsync = ON",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def file_check(path: Path) -> Callable[..., None]:
    """Return the check that the database is still the file that was opened. Each transaction begins with it."""
    opened = path.stat().st_ino

    def check(*_: object) -> None:
        # SQLite goes on writing to a file that was deleted, and everything that is acknowledged then is lost.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == opened:
                return
        raise DatabaseReplacedError(
            f"The database {path} was deleted or replaced while captionq runs. Start captionq again."
        )

    return check


def begin(connection: Connection) -> None:
    """Begin a transaction."""
    # A transaction that reads first and writes later can fail at once with SQLITE_BUSY, despite the busy_timeout: a
    # writer therefore takes the lock at its beginning.
    synchronous = connection.get_execution_options().get(_WRITES)
    if synchronous is None:
        connection.exec_driver_sql("BEGIN")
        return
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA synchronous = {synchronous}")
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TURN}")
    deadline = time.monotonic() + connection.get_execution_options().get(WRITER_WAIT, BUSY_TIMEOUT)
    try:
        while not _is_begun(cursor, deadline):
            pass
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000}")
        cursor.close()


def _is_begun(cursor: DBAPICursor, deadline: float) -> bool:
    """Take the writer's lock. Returns False if another writer has it; raises when the deadline is over."""
    try:
        cursor.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        # The extended code names kinds of it.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
            raise DBAPIError.instance("BEGIN IMMEDIATE", None, error, sqlite3.Error) from error
        return False
    return True


def set_wal(engine: Engine) -> None:
    """Switch to write-ahead logging, and a new file to space that can be given back. The file remembers both."""
    # Only possible outside of a transaction.
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        cursor.execute("PRAGMA journal_mode = WAL")
