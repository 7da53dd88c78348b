"""The space that removed rows leave in an SQLite file: given back to the disk in short steps, or at once by a rewrite.

A file of an older version cannot be shortened in steps until it has been rewritten. Postgres does all of this by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from sqlalchemy import Engine

from jobs.errors import InvalidRequestError
from jobs.store.connection import bulk_pause
from jobs.store.databases import sqlite

#: Pages of 4 kB that one step cuts off: other writers wait for some tens of milliseconds.
PAGES_A_STEP = 500


def free_bytes(engine: Engine) -> int:
    """Return the bytes of the file that hold nothing; 0 on Postgres."""
    return _free_pages(engine) * _pragma(engine, "page_size") if engine.dialect.name == "sqlite" else 0


def give_back(engine: Engine, *, goes_on: Callable[[], bool] = lambda: True) -> int:
    """Cut free pages off the file until there are none, or until `goes_on` says no. Returns the bytes that the file lost."""
    if engine.dialect.name != "sqlite" or _pragma(engine, "auto_vacuum") != sqlite.INCREMENTAL:
        return 0
    before = left = _free_pages(engine)
    while left and goes_on():
        with closing(engine.raw_connection()) as connection:
            # As a script: the driver's `execute` cuts off one page, and stops.
            connection.cursor().executescript(f"PRAGMA synchronous = NORMAL; PRAGMA incremental_vacuum({PAGES_A_STEP})")
        cut, left = left, _free_pages(engine)
        if left >= cut:
            # Others write more than this step cuts off.
            break
        bulk_pause(engine)
    _checkpoint(engine)
    return max(0, before - left) * _pragma(engine, "page_size")


def rewrite(engine: Engine) -> None:
    """Write the file anew without free pages, so that it can be shortened in steps from then on. Writers wait meanwhile.

    Raises InvalidRequestError on Postgres.
    """
    if engine.dialect.name != "sqlite":
        raise InvalidRequestError("Postgres vacuums its tables by itself. To give space back to its disk: VACUUM FULL.")
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA auto_vacuum = {sqlite.INCREMENTAL}")
        cursor.execute("VACUUM")
    _checkpoint(engine)


def _checkpoint(engine: Engine) -> None:
    """Let the file itself have its new length, which is in the log so far. A reader may put that off to a later checkpoint."""
    with closing(engine.raw_connection()) as connection:
        # Other kinds wait for readers, and writers would wait for them.
        connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")


def _free_pages(engine: Engine) -> int:
    return _pragma(engine, "freelist_count")


def _pragma(engine: Engine, name: str) -> int:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {name}")
        (value,) = cursor.fetchone() or (0,)
    return int(value)
