"""Faults of the database as typed errors: what is wrong, and the way out of it."""

from __future__ import annotations

import errno
import sqlite3

from jobs.errors import DatabaseDamagedError, DatabaseError, DiskFullError

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CLOSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)


def database_error(error: Exception, place: str = "the database") -> DatabaseError:
    """Return the error that says what is wrong with the database.

    Args:
        error: an error of SQLAlchemy or of the driver, or a DatabaseError, which is returned as it is.
        place: the file or the address of the database, without a password, in a sentence.
    """
    if isinstance(error, DatabaseError):
        return error
    # SQLAlchemy's errors hold the driver's.
    orig = getattr(error, "orig", None)
    cause = orig if isinstance(orig, Exception) else error
    match _code(cause):
        case code if code in _DAMAGED:
            return damaged(place, _first_line(cause))
        case sqlite3.SQLITE_FULL:
            return DiskFullError(
                f"The disk is full, and {place} cannot be written. Free some space: what is done is kept, and the rest goes on."
            )
        case code if code in _LOCKED:
            return DatabaseError(
                f"Another program has locked {place} for too long. Close that program, and run the command again."
            )
        case code if code in _CLOSED:
            return DatabaseError(
                f"There is no permission to open and to write {place} ({_first_line(cause)}). Check its owner and its folder."
            )
        case sqlite3.SQLITE_IOERR:
            return DatabaseError(
                f"The disk reports an error at {place} ({_first_line(cause)}). Check the disk, and run the command again."
            )
        case _:
            return DatabaseError(f"There is a fault of {place}: {_first_line(cause)}.")


def damaged(place: str, reason: str) -> DatabaseDamagedError:
    """Return the error of a file whose content is broken."""
    return DatabaseDamagedError(
        f"The content of {place} is damaged ({reason}). Stop captionq, and move the file to another place: the next run begins "
        "with an empty database, and text files stay as they are."
    )


def _code(cause: Exception) -> int | None:
    """Return SQLite's primary code of the error. Postgres speaks of a full disk with the class 53."""
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return sqlite3.SQLITE_FULL
    if getattr(cause, "sqlstate", None) == "53100":
        return sqlite3.SQLITE_FULL
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
