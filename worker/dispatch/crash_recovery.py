"""Recovery of a dead worker's jobs: their rows go back to queued, and the lanes are made to agree with the rows."""

from __future__ import annotations

import logging

from redis import Redis
from rq.executions import Execution
from rq.worker import BaseWorker

from jobs.captions.temporary_files import sweep_own
from jobs.faults import FaultPoint, point
from jobs.objects.paths import is_object_address
from jobs.queue.lanes import Entry, LaneQueue, lanes
from jobs.queue.reconcile import reconcile
from jobs.requests import path_of
from jobs.store.store import Store

logger = logging.getLogger("captionq.worker")


def recover(worker: BaseWorker, store: Store, connection: Redis, *, died: bool = True) -> None:
    """Requeue the jobs of a dead worker. Call it before this worker's birth, holding the worker's lock.

    The rows decide: executions that Redis still lists for the dead worker are thrown away, and the lanes get their entries from
    the rows. Jobs that the dead worker had taken are the next ones again: the first of their run, or of the urgent lane.

    Args:
        died: whether the jobs may have been the cause of the worker's death.
    """
    recovered = store.recover(worker.name, died=died)
    if recovered.requeued or recovered.poisoned:
        logger.warning(
            "The last worker ended early: %d jobs go back to the queue, %d are given up.",
            len(recovered.requeued),
            len(recovered.poisoned),
        )
        left = store.those([*recovered.requeued, *recovered.poisoned])
        sweep_own(
            {
                path_of(job.output).parent
                for job in left
                if job.output is not None and not is_object_address(job.output)
            },
            worker.name,
        )
    point(FaultPoint.RECOVER)
    for execution in worker.get_current_executions(refresh=True):
        _forget(execution, connection)
    connection.delete(worker.key, worker.executions_key)
    begun = set(recovered.requeued)
    for queue in lanes(connection):
        _forget_dead(queue, connection, worker.name)
        begun.update(queue.intermediate_queue.get_job_ids())
        # A worker killed during maintenance leaves this lock behind, for up to 15 minutes.
        connection.delete(queue.registry_cleaning_key, queue.intermediate_queue_key)
    for job_id in recovered.poisoned:
        connection.delete(Entry.key_for(job_id))
    reconcile(store, connection, begun=begun)


def _forget(execution: Execution, connection: Redis) -> None:
    entry = Entry(id=execution.job_id, connection=connection)
    for queue in lanes(connection):
        with connection.pipeline() as pipeline:
            entry.origin = queue.name
            execution.delete(job=entry, pipeline=pipeline)
            pipeline.delete(entry.key)
            pipeline.execute()


def _forget_dead(queue: LaneQueue, connection: Redis, worker: str) -> None:
    """Drop registry members whose lease is gone or is this worker's. A worker that ended properly leaves no list of them."""
    registry = queue.started_job_registry
    for job_id, execution_id in registry.get_job_and_execution_ids(cleanup=False):
        execution = Execution(id=execution_id, job_id=job_id, connection=connection)
        if connection.hget(execution.key, "worker_name") in (None, worker.encode()):
            _forget(execution, connection)
