"""What a dead worker leaves in Redis: executions, leases, ids that it had taken, its registration."""

from __future__ import annotations

from typing import Any

from redis import Redis
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE, Execution
from rq.worker import BaseWorker

from jobs.queue.feeding import end_feeding
from jobs.queue.lanes import Entry, LaneQueue, lanes
from jobs.queue.workers.draining import undo_drain
from jobs.queue.workers.orderly_end import forget_end


def forget_worker(connection: Redis, worker: str) -> set[str]:
    """Remove all that a dead worker left, and return the ids of the jobs that it had taken and not begun.

    Nothing of another worker is touched, except that a feeder begins again. The rows decide what becomes of the jobs.
    """
    key = BaseWorker.redis_worker_namespace_prefix + worker
    executions_key = WORKER_EXECUTIONS_KEY_TEMPLATE.format(worker)
    members: Any = connection.smembers(executions_key)
    for member in members:
        execution = Execution.from_composite_key(member.decode(), connection=connection)
        execution.worker_name = worker
        _forget(execution, connection)
    connection.delete(key, executions_key)
    undo_drain(connection, worker)
    forget_end(connection, worker)
    connection.srem(BaseWorker.redis_workers_keys, key)
    taken: set[str] = set()
    for queue in lanes(connection, worker):
        _forget_leases(queue, connection, worker)
        taken.update(queue.taken_ids())
        connection.delete(queue.intermediate_queue_key)
    # It may have died while it fed.
    end_feeding(connection)
    return taken


def _forget(execution: Execution, connection: Redis) -> None:
    entry = Entry(id=execution.job_id, connection=connection)
    for queue in lanes(connection):
        with connection.pipeline() as pipeline:
            entry.origin = queue.name
            execution.delete(job=entry, pipeline=pipeline)
            pipeline.delete(entry.key)
            pipeline.execute()


def _forget_leases(queue: LaneQueue, connection: Redis, worker: str) -> None:
    """Drop registry members whose lease is gone or is this worker's. A worker that ended properly leaves no list of them."""
    registry = queue.started_job_registry
    for job_id, execution_id in registry.get_job_and_execution_ids(cleanup=False):
        execution = Execution(id=execution_id, job_id=job_id, connection=connection)
        if connection.hget(execution.key, "worker_name") in (None, worker.encode()):
            _forget(execution, connection)
