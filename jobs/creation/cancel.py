"""Cancelling: rows first, then their entries, then whoever runs or watches them is told."""

from __future__ import annotations

from collections.abc import Sequence

from redis import Redis

from jobs.chunks import chunked
from jobs.queue import lanes
from jobs.queue.events import Event, publish
from jobs.store.store import Store
from jobs.store.tables import Job

#: Rows a statement.
CHUNK = 500


def cancel(ids: Sequence[str], *, store: Store, connection: Redis | None) -> list[str]:
    """Cancel what has not ended; a running one frees its row of the batch at the next step. Returns the ids that were open.

    Without a connection the rows alone change: a worker looks at those that it runs every second. Raises RedisError.
    """
    cancelled = store.cancel(ids)
    if connection is not None:
        announce(cancelled, store=store, connection=connection)
    return cancelled


def announce(cancelled: Sequence[str], *, store: Store, connection: Redis) -> None:
    """Withdraw the entries of rows that were cancelled, and tell the worker and the clients. Raises RedisError."""
    lanes.withdraw(connection, cancelled)
    for chunk in chunked(cancelled, CHUNK):
        _tell(connection, [job for job in store.those(chunk) if job.worker is not None or job.streamed])


def _tell(connection: Redis, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.worker is not None:
            lanes.stop(connection, job.worker, job.id)
    publish(connection, [Event(job.id, "ended", {}) for job in jobs if job.streamed])
