"""Recovery of a dead worker's jobs: their rows go back to queued, and the lanes are made to agree with the rows.

Jobs of workers on other hosts that do not come back: `jobs/queue/workers/lost_workers.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from redis import Redis

from jobs.captions.temporary_files import sweep_own
from jobs.faults import FaultPoint, point
from jobs.objects.paths import is_object_address
from jobs.queue.lanes import Entry, lanes
from jobs.queue.reconcile import reconcile
from jobs.queue.workers.worker_remains import forget_worker
from jobs.requests import path_of
from jobs.store.recovery import Recovered, running_outputs
from jobs.store.store import Store

logger = logging.getLogger("captionq.worker")


def recover(worker: str, store: Store, connection: Redis, *, died: bool = True) -> None:
    """Requeue the jobs of this worker's dead predecessor. Call it before the worker's birth, holding the worker's lock.

    The rows decide: executions that Redis still lists for the dead worker are thrown away, and the lanes get their entries from
    the rows. Jobs that the dead worker had taken are the next ones again: the first of their run, or of the urgent lane.

    Args:
        died: whether the jobs may have been the cause of the worker's death.
    """
    # Before the rows: after a second death here nobody would know where the files are.
    _sweep(running_outputs(store.engine, worker), worker)
    recovered = store.recover(worker, died=died)
    if recovered.requeued or recovered.poisoned:
        logger.warning(
            "The last worker ended early: %d jobs go back to the queue, %d are given up.",
            len(recovered.requeued),
            len(recovered.poisoned),
        )
    point(FaultPoint.RECOVER)
    taken = forget_worker(connection, worker)
    for queue in lanes(connection):
        # A worker killed during maintenance leaves this lock behind, for up to 15 minutes.
        connection.delete(queue.registry_cleaning_key)
    for job_id in recovered.poisoned:
        connection.delete(Entry.key_for(job_id))
    reconcile(store, connection, begun={*recovered.requeued, *taken})


def sweep_files(recovered: Recovered, store: Store) -> None:
    """Remove the temporary files that a lost worker left where its jobs, which were taken back, write."""
    rows = store.those([*recovered.requeued, *recovered.poisoned])
    _sweep([job.output for job in rows if job.output], recovered.worker)


def _sweep(outputs: Sequence[str], worker: str) -> None:
    sweep_own({path_of(output).parent for output in outputs if not is_object_address(output)}, worker)
