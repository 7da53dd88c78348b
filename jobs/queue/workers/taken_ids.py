"""Ids that a worker has taken from a lane and does not run: dropped, put back, or put off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from redis import Redis
from redis.client import Pipeline
from rq.job import JobStatus as EntryStatus

from jobs.queue.lanes import Entry, LaneQueue


def drop(connection: Redis, queue: LaneQueue, job_id: str, *, keep: bool) -> None:
    """Remove a stale id from the lane's intermediate list, and delete its entry unless `keep`."""
    with connection.pipeline() as pipeline:
        pipeline.lrem(queue.intermediate_queue_key, 1, job_id)
        if not keep:
            pipeline.delete(Entry.key_for(job_id))
        pipeline.execute()


def put_back(connection: Redis, taken: Sequence[tuple[LaneQueue, str]]) -> None:
    """Put taken ids back to the front of their lanes, in this order, for other workers. Raises RedisError."""
    with connection.pipeline() as pipeline:
        for queue, job_id in reversed(taken):
            pipeline.lrem(queue.intermediate_queue_key, 1, job_id)
            pipeline.lpush(queue.key, job_id)
        pipeline.execute()


def put_off(entry: Entry, queue: LaneQueue, seconds: int, pipeline: Pipeline) -> None:
    """Hold an entry in rq's scheduled registry for some seconds before it enters its lane again."""
    entry._status = EntryStatus.SCHEDULED  # noqa: SLF001  (pinned, see tests/worker/test_contracts.py)
    queue.schedule_job(entry, datetime.now(UTC) + timedelta(seconds=seconds), pipeline=pipeline)
