"""Faults of the database as typed errors: what is wrong, and the way out of it."""

from __future__ import annotations

import errno
import sqlite3
from typing import NamedTuple

from jobs.errors import (
    DatabaseDamagedError,
    DatabaseError,
    DatabaseLockedError,
    DiskError,
    DiskFullError,
)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CLOSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
#: Faults of a file that may pass while a process runs: a program ends, room is made, a disk is mounted again.
_PASSING = (*_LOCKED, *_CLOSED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class _Fault(NamedTuple):
    kind: type[DatabaseError]
    #: A sentence.
    cause: str
    way_out: str


def database_error(error: Exception, place: str = "the database") -> DatabaseError:
    """Return the error that says what is wrong with the database.

    Args:
        error: an error of SQLAlchemy or of the driver, or a DatabaseError, which is returned as it is.
        place: the file or the address of the database, without a password, in a sentence.
    """
    if isinstance(error, DatabaseError):
        return error
    fault = _fault(_driver_error(error), place)
    return fault.kind(f"{fault.cause} {fault.way_out}".strip())


def cause_of(error: Exception, place: str) -> str:
    """Return a sentence about the cause of a fault, without the way out. For the arguments see `database_error`."""
    return error.message if isinstance(error, DatabaseError) else _fault(_driver_error(error), place).cause


def file_fault_passes(error: Exception) -> bool:
    """Return whether this is a fault of SQLite's file, of its disk or of the writer's lock that may pass by itself."""
    return _code(_driver_error(error)) in _PASSING


def is_disk_full(error: OSError) -> bool:
    """Return whether the system has no room for a file, on the disk or in the user's share of the disk."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def damaged(place: str, reason: str) -> DatabaseDamagedError:
    """Return the error of a file whose content is broken."""
    fault = _damage(place, reason)
    return DatabaseDamagedError(f"{fault.cause} {fault.way_out}")


def _damage(place: str, reason: str) -> _Fault:
    return _Fault(
        DatabaseDamagedError,
        f"The content of {place} is damaged ({reason}).",
        "Stop captionq, and move the file to another place: the next run begins with an empty database, and text files "
        "stay as they are.",
    )


def _fault(cause: Exception, place: str) -> _Fault:
    match _code(cause):
        case code if code in _DAMAGED:
            return _damage(place, _first_line(cause))
        case sqlite3.SQLITE_FULL:
            return _Fault(
                DiskFullError,
                f"The disk is full, and {place} cannot be written.",
                "Free some space: what is done is kept, and the rest goes on.",
            )
        case code if code in _LOCKED:
            return _Fault(
                DatabaseLockedError,
                f"Another program has locked {place} for too long.",
                "Close that program, and run the command again.",
            )
        case code if code in _CLOSED:
            return _Fault(
                DatabaseError,
                f"There is no permission to open and to write {place} ({_first_line(cause)}).",
                "Check its owner and its folder.",
            )
        case sqlite3.SQLITE_IOERR:
            return _Fault(
                DiskError,
                f"The disk reports an error at {place} ({_first_line(cause)}).",
                "Check the disk, and run the command again.",
            )
        case _:
            return _Fault(DatabaseError, f"There is a fault of {place}: {_first_line(cause)}.", "")


def _driver_error(error: Exception) -> Exception:
    """Return the driver's error that an error of SQLAlchemy holds."""
    orig = getattr(error, "orig", None)
    return orig if isinstance(orig, Exception) else error


def _code(cause: Exception) -> int | None:
    """Return SQLite's primary code of the error. Postgres speaks of a full disk with the class 53, of a lock with 55."""
    if isinstance(cause, OSError) and is_disk_full(cause):
        return sqlite3.SQLITE_FULL
    match getattr(cause, "sqlstate", None):
        case "53100":
            return sqlite3.SQLITE_FULL
        case "55P03":
            return sqlite3.SQLITE_BUSY
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
