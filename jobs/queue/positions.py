"""The position of a job that waits: how many jobs go before it."""

from __future__ import annotations

from redis import Redis

from jobs.queue.lanes import lane_queue
from jobs.queue.turns import ranks
from jobs.store.connection import reading
from jobs.store.queries.waiting_rows import count_before, count_of_run, count_waiting, waiting_runs
from jobs.store.store import Store
from jobs.store.tables import Job, Lane


def ahead_of(store: Store, connection: Redis, job: Job) -> int | None:
    """Return the number of waiting jobs, in all lanes, that go before this one.

    Returns None if the job does not wait, or waits in a paused run. Raises RedisError.
    """
    if job.lane == Lane.INTERACTIVE:
        position = lane_queue(connection, Lane.INTERACTIVE).get_job_position(job.id)
        return None if position is None else int(position)
    ahead = _ahead_in_bulk(store, job)
    return None if ahead is None else ahead + count_waiting(store.engine, Lane.INTERACTIVE)


def _ahead_in_bulk(store: Store, job: Job) -> int | None:
    """Count the rows of all runs that go before this one. Its equals take turns, so each goes as often as its own run."""
    ahead = 0
    with reading(store.engine) as connection:
        for equals in ranks(waiting_runs(connection, Lane.BULK)):
            names = [run.batch_id for run in equals]
            if job.batch_id not in names:
                ahead += sum(count_of_run(connection, Lane.BULK, name) for name in names)
                continue
            own = count_before(connection, job)
            others = (name for name in names if name != job.batch_id)
            return ahead + own + sum(count_of_run(connection, Lane.BULK, name, own) for name in others)
    return None
