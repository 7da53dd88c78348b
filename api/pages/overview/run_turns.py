"""The turn of each waiting run: how many jobs of other runs go before its first."""

from __future__ import annotations

from collections.abc import Iterable

from redis import Redis
from redis.exceptions import RedisError

from jobs.queue.positions import ahead_of
from jobs.store.connection import reading
from jobs.store.queries.waiting_rows import next_rows
from jobs.store.store import Store
from jobs.store.tables import Job, Lane


def turns_of(run_ids: Iterable[str], *, store: Store, connection: Redis) -> dict[str, int]:
    """Return for each run the number of jobs that go before its first. Runs none of whose jobs has a turn are left out."""
    found: dict[str, int] = {}
    try:
        for run_id in run_ids:
            job = _first_waiting(run_id, store)
            if job is not None and (ahead := ahead_of(store, connection, job)) is not None:
                found[run_id] = ahead
    except RedisError:
        # Without the broker there are no turns.
        return {}
    return found


def _first_waiting(run_id: str, store: Store) -> Job | None:
    with reading(store.engine) as connection:
        first = next((job_id for lane in Lane for job_id in next_rows(connection, lane, run_id, 1)), None)
    return None if first is None else store.find(first)
