"""Cancelling: rows first, then their queue entries, then the worker and the clients are notified."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis import Redis
from redis.exceptions import RedisError

from jobs.chunks import chunked
from jobs.queue import lanes
from jobs.queue.events import Event, publish
from jobs.store.bulk_cancel import CancelledJob
from jobs.store.store import Store
from jobs.store.tables import Job

#: Jobs that are read from the store by one statement.
JOBS_A_STATEMENT = 500


def cancel(ids: Sequence[str], *, store: Store, connection: Redis | None) -> list[str]:
    """Cancel the jobs that have not ended, and return their ids. A running job frees its slot at the next decode step.

    Without a connection only the rows change: a worker checks the rows of its jobs every second. Raises RedisError.
    """
    cancelled = store.cancel(ids)
    if connection is not None:
        announce(cancelled, store=store, connection=connection)
    return cancelled


def cancel_batch(
    batch_id: str, *, store: Store, connection: Redis | None, on_progress: Callable[[int], None] | None = None
) -> int:
    """Cancel the jobs of a batch that have not ended, and return their number. The batch may have a million jobs.

    Args:
        on_progress: is called with the number of jobs that are cancelled so far.

    Raises RedisError, after the rows of the batch have changed.
    """
    count, broken = 0, None
    for rows in store.cancel_batch(batch_id):
        count += len(rows)
        if on_progress is not None:
            on_progress(count)
        if connection is not None and broken is None:
            try:
                lanes.withdraw(connection, [row.id for row in rows])
                _notify(connection, rows)
            except RedisError as error:
                broken = error
    if broken is not None:
        raise broken
    return count


def announce(cancelled: Sequence[str], *, store: Store, connection: Redis) -> None:
    """Withdraw the entries of rows that were cancelled, and notify the worker and the clients. Raises RedisError."""
    lanes.withdraw(connection, cancelled)
    for chunk in chunked(cancelled, JOBS_A_STATEMENT):
        _notify(connection, store.those(chunk))


def _notify(connection: Redis, jobs: Sequence[Job] | Sequence[CancelledJob]) -> None:
    for job in jobs:
        if job.worker is not None:
            lanes.stop(connection, job.worker, job.id)
    publish(connection, [Event(job.id, "ended", {}) for job in jobs if job.streamed])
