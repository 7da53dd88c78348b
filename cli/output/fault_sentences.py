"""Faults of the machine in a sentence: a full disk, a read-only folder, a locked database. Every other exception is a defect."""

from __future__ import annotations

import errno

_OF_THE_MACHINE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOLCK,
        errno.ESTALE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENAMETOOLONG,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
    }
)


def sentence_of(error: Exception) -> str | None:
    """Return a sentence about a fault of the machine that names the file or service; None: the exception is a defect."""
    # Imported here: only an exception that nothing else has handled comes here.
    from redis.exceptions import RedisError
    from sqlalchemy.exc import DBAPIError

    from jobs.errors.broker_faults import broker_error
    from jobs.errors.database_faults import database_error

    match error:
        case OSError() if error.errno in _OF_THE_MACHINE:
            return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
        case DBAPIError():
            return database_error(error).message
        case RedisError():
            return broker_error(error, "").message
        case _:
            return None
