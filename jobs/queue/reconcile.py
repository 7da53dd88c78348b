"""Reconciliation of the lanes with the database: queued rows without an entry get a new one.

A damaged file of the broker is mended before its start: `jobs/queue/append_only_file.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from redis import Redis

from jobs.queue.lanes import lanes, push
from jobs.store.store import Store


def reconcile(store: Store, connection: Redis, *, older_than: float = 0.0, begun: Collection[str] = ()) -> int:
    """Push an entry for each queued row that has none. Returns the number of such rows.

    Args:
        older_than: seconds. Younger rows are left out: their writer may be about to push them.
        begun: ids of jobs that a worker had taken. They go to the front of their lane, all others to its end.
    """
    present = {job_id for queue in lanes(connection) for job_id in queue.ids()}
    missing: dict[tuple[str, bool], list[str]] = {}
    for job_id, lane in store.queued(older_than):
        if job_id not in present:
            missing.setdefault((lane, job_id in begun), []).append(job_id)
    for (lane, at_front), ids in missing.items():
        push(connection, lane, ids, at_front=at_front)
    return sum(map(len, missing.values()))
