"""Reconciliation of the lanes with the database, after a death or a loss: queued rows without an entry get one.

The bulk lane is fed (`jobs/queue/feeding.py`), whatever became of its entries; urgent rows are few, and are all looked at.
A damaged file of the broker is mended before its start: `jobs/queue/append_only_file.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from redis import Redis

from jobs.queue.feeding import feed
from jobs.queue.lanes import lane_queue, push
from jobs.store.queries.waiting_rows import has_waiting, waiting_ids
from jobs.store.store import Store
from jobs.store.tables import Lane


def reconcile(store: Store, connection: Redis, *, older_than: float = 0.0, begun: Collection[str] = ()) -> None:
    """Push an entry for each urgent row that has none, and feed the bulk lane.

    Args:
        older_than: seconds. Younger urgent rows are left out: their writer may be about to push them.
        begun: ids of jobs that a worker had taken. They go to the front of the urgent lane, all others to its end.
    """
    if has_waiting(store.engine, Lane.INTERACTIVE):
        present = lane_queue(connection, Lane.INTERACTIVE).ids()
        waiting = waiting_ids(store.engine, Lane.INTERACTIVE, older_than)
        missing = [job_id for job_id in waiting if job_id not in present]
        push(connection, Lane.INTERACTIVE, [job_id for job_id in missing if job_id in begun], at_front=True)
        push(connection, Lane.INTERACTIVE, [job_id for job_id in missing if job_id not in begun])
    if has_waiting(store.engine, Lane.BULK):
        # Entries without such a row are dropped when they are taken.
        feed(store, connection)
