"""Draining a worker: it takes no more jobs, ends those that it has begun, and then its process ends."""

from __future__ import annotations

from redis import Redis
from rq.command import send_command

from jobs.errors import InvalidRequestError, NotFoundError
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.safe_text import safe_text

_KEY = "captionq:drain:"
#: The command that lets a worker without work look at its tasks now.
LOOK = "look"


def find_worker(connection: Redis, name: str) -> WorkerState:
    """Return the live worker of this name, or with a name that begins so.

    Raises NotFoundError, and InvalidRequestError if several names begin so; RedisError.
    """
    workers = live_workers(connection)
    found = [one for one in workers if name in (one.name, one.short_name)]
    found = found or [one for one in workers if one.name.startswith(name) or one.short_name.startswith(name)]
    if not found:
        raise NotFoundError(f"No worker '{safe_text(name)}' is alive. `captionq workers` lists those that are.")
    if len(found) > 1:
        names = ", ".join(safe_text(one.short_name) for one in found)
        raise InvalidRequestError(f"'{safe_text(name)}' is the beginning of several names: {names}. Write more of it.")
    return found[0]


def drain(connection: Redis, worker: str) -> None:
    """Ask a worker to drain. It looks now, or after a second if it is busy. Raises RedisError."""
    connection.set(_KEY + worker, "1")
    send_command(connection, worker, LOOK)


def undo_drain(connection: Redis, worker: str) -> None:
    """Let a worker take jobs again, if it has not ended; or forget what a dead worker was asked. Raises RedisError."""
    connection.delete(_KEY + worker)


def is_draining(connection: Redis, worker: str) -> bool:
    """Return whether a worker was asked to drain. Raises RedisError."""
    return bool(connection.exists(_KEY + worker))
