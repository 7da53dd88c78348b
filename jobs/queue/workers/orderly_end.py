"""The note of a worker that ends in order and cannot release its jobs, because the database is away: no job is to blame."""

from __future__ import annotations

import logging

from redis import Redis
from redis.exceptions import RedisError

from jobs.errors import first_line

logger = logging.getLogger("captionq.queue")

_KEY = "captionq:ended_in_order:"


def note_orderly_end(connection: Redis, worker: str) -> None:
    """Note that this worker's running jobs did not end it. Without a broker the next worker counts a death for each."""
    try:
        connection.set(_KEY + worker, "1")
    except RedisError as error:
        logger.warning("The broker cannot be told that this worker ends in order (%s).", first_line(error))


def forget_end(connection: Redis, worker: str) -> None:
    """Forget the note: the worker's jobs were taken back. Raises RedisError."""
    connection.delete(_KEY + worker)


def ended_in_order(connection: Redis, worker: str) -> bool:
    """Return whether the worker has left a note. Raises RedisError."""
    return bool(connection.exists(_KEY + worker))
