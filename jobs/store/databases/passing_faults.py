"""Faults of the database that may pass by themselves: it is away, locked or full, or its disk fails. No job is to blame."""

from __future__ import annotations

import logging
import sys
from sqlite3 import Error as SQLiteError

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from jobs.errors import first_line
from jobs.errors.database_faults import cause_of, file_fault_passes


def is_away(error: Exception) -> bool:
    """Return whether the error means that the database server cannot be reached for now. A file always can."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError) or isinstance(error.orig, SQLiteError):
        return False
    # A client that fell silent in the middle of a transaction is cut off with an InternalError.
    return isinstance(error, OperationalError) or error.connection_invalidated


def passes(error: Exception) -> bool:
    """Return whether an error means a fault of the database that may pass by itself."""
    return is_away(error) or file_fault_passes(error)


def log_failure(logger: logging.Logger, words: str, *arguments: object) -> None:
    """Log the exception that is being handled: with its stack, unless it passes by itself.

    The stack of a fault that passes says nothing, and the same work fails again every second until the fault is over.

    Args:
        logger: of the caller.
        words: a sentence that says what failed, with places for the arguments.
    """
    match sys.exc_info()[1]:
        case RedisError() as error:
            logger.warning(f"{words} The broker is away (%s).", *arguments, first_line(error))
        case Exception() as error if passes(error):
            logger.warning(f"{words} %s", *arguments, cause_of(error, "the database"))
        case _:
            logger.exception(words, *arguments)
