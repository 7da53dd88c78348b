"""Any exception, and any stored error code, as a `CaptionqError`."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.errors.retry_after import RETRY_AWAY
from jobs.errors import CaptionqError, DiskFullError, LeavingError, NotFoundError
from jobs.errors.broker_faults import broker_error
from jobs.errors.database_faults import cause_of, database_error, is_disk_full
from jobs.store.databases.passing_faults import passes

logger = logging.getLogger("captionq.api")


def translate_error(error: Exception) -> CaptionqError:
    """Translate an exception, and log the details that clients do not see."""
    match error:
        case LeavingError():
            # Not a fault: the server was asked to stop.
            logger.info(error.message)
            return error
        case CaptionqError():
            if error.status >= 500:
                logger.error("%s: %s", type(error).__name__, error.message)
            return error
        case OSError() if is_disk_full(error):
            logger.error("The disk is full (%s).", error.filename or "no name")
            away: CaptionqError = DiskFullError()
        case RedisError():
            logger.error("The broker cannot be used (%s).", error)
            away = broker_error(error)
        case SQLAlchemyError():
            if passes(error):
                logger.error("The database cannot be used (%s).", cause_of(error, "the database").rstrip("."))
            else:
                logger.exception("The database could not be used.", exc_info=error)
            away = database_error(error)
        case _:
            logger.exception("An unexpected error.", exc_info=error)
            return CaptionqError()
    away.retry_after = RETRY_AWAY
    return away


def stored_error(code: str | None, message: str | None) -> CaptionqError:
    """Return the error that a failed job's row holds."""
    kind = _class_with(code)
    return CaptionqError("The job failed.") if kind is None else kind(message)


def not_found(kind: str, name: str) -> NotFoundError:
    """Return the error for a name that does not exist, such as a folder's id."""
    return NotFoundError(f"{kind.capitalize()} '{name}' not found.")


def _class_with(code: str | None) -> type[CaptionqError] | None:
    unseen = [CaptionqError]
    while unseen:
        kind = unseen.pop()
        if kind.code == code:
            return kind
        unseen += kind.__subclasses__()
    return None
