"""Ids that a worker has taken from a lane and does not run: dropped, put back, or put off for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.job import JobStatus as EntryStatus

from jobs.queue.lanes import Entry, LaneQueue
from jobs.queue.scripts import DUE, PUT_BACK


def drop(connection: Redis, queue: LaneQueue, job_id: str, *, keep: bool) -> None:
    """Remove a stale id from the lane's intermediate list, and delete its entry unless `keep`."""
    with connection.pipeline() as pipeline:
        pipeline.lrem(queue.intermediate_queue_key, 1, job_id)
        if not keep:
            pipeline.delete(Entry.key_for(job_id))
        pipeline.execute()


def put_back(connection: Redis, taken: Sequence[tuple[LaneQueue, str]]) -> None:
    """Put taken ids back to the front of their lanes, in this order, for other workers. Raises RedisError.

    Ids that the worker has put back before (`LaneQueue.skipped`) stay ahead of them.
    """
    for queue in {queue.name: queue for queue, _ in taken}.values():
        ids = [job_id for lane, job_id in taken if lane.name == queue.name]
        keys = (queue.key, queue.intermediate_queue_key)
        connection.eval(PUT_BACK, len(keys), *keys, len(ids), *ids, *(set(queue.skipped) - set(ids)))


def put_off(entry: Entry, queue: LaneQueue, seconds: int, pipeline: Pipeline) -> None:
    """Hold an entry in rq's scheduled registry for some seconds before it enters its lane again."""
    entry._status = EntryStatus.SCHEDULED  # noqa: SLF001  (pinned, see tests/worker/test_contracts.py)
    queue.schedule_job(entry, datetime.now(UTC) + timedelta(seconds=seconds), pipeline=pipeline)


def bring_due(connection: Redis, queues: Sequence[LaneQueue], longest: int) -> float:
    """Move entries whose time has come into their lanes. Returns the seconds until the next one; infinity: there is none.

    Entries that are put off for more than `longest` seconds begin now: the clock was set back since. Raises RedisError.
    """
    keys = [key for queue in queues for key in (queue.scheduled_job_registry.key, queue.key)]
    now = time.time()
    # A second for clocks of machines that differ.
    following: Any = connection.eval(DUE, len(keys), *keys, Entry.key_for(""), now, int(now) + longest + 1)
    return float("inf") if following is None else max(0.0, float(following) - now)
