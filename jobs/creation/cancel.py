"""Cancelling: rows first, then their queue entries, then the worker and the clients are notified."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis import Redis

from jobs.chunks import chunked
from jobs.queue import lanes
from jobs.queue.events import Event, publish
from jobs.queue.feeding import feed
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


def cancel_run(
    batch_id: str, *, store: Store, connection: Redis | None, on_progress: Callable[[int], None] | None = None
) -> int:
    """Cancel all jobs of a run that have not ended, however many. Returns how many.

    Args:
        connection: see `cancel`.
        on_progress: is called with the number of jobs that are cancelled so far.

    Raises RedisError.
    """
    concerned = store.with_listeners(batch_id)
    cancelled = store.cancel_batch(batch_id, on_progress)
    if connection is not None and cancelled:
        feed(store, connection)
        lanes.withdraw(connection, [job.id for job in concerned])
        _notify(connection, concerned)
    return cancelled


def announce(cancelled: Sequence[str], *, store: Store, connection: Redis) -> None:
    """Withdraw the entries of rows that were cancelled, and notify the worker and the clients. Raises RedisError."""
    lanes.withdraw(connection, cancelled)
    for chunk in chunked(cancelled, JOBS_A_STATEMENT):
        _notify(connection, [job for job in store.those(chunk) if job.worker is not None or job.streamed])


def _notify(connection: Redis, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.worker is not None:
            lanes.stop(connection, job.worker, job.id)
    publish(connection, [Event(job.id, "ended", {}) for job in jobs if job.streamed])
