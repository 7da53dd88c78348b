"""A worker's recurring tasks beside its jobs: put-off jobs, lost workers, ids and rows that lost their places."""

from __future__ import annotations

import time

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.lanes import LaneQueue
from jobs.queue.reconcile import reconcile
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.queue.workers.taken_ids import bring_due
from jobs.store.store import Store
from worker.dispatch.admission.job_admission import JobAdmission
from worker.dispatch.conditions.bulk_conditions import BulkConditions
from worker.dispatch.crash_recovery import sweep_files
from worker.dispatch.faults.database_patience import DatabasePatience
from worker.dispatch.job_events import JobEvents
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.queue_worker import QueueWorker
from worker.dispatch.retries import LONGEST_DELAY
from worker.pipeline.keep_alive import KeepAlive
from worker.pipeline.request_pipeline import RequestPipeline

#: An urgent row that was written this long ago (seconds) and has no entry gets one: its writer died before it pushed.
ORPHANED_AFTER = 10.0
RECONCILE_EVERY = 10.0
#: Seconds between two sweeps of ids that are neither held nor leased.
SWEEP_EVERY = 60.0
#: Seconds between two looks of a worker without work at the other workers. Before a decision about a job it looks again.
REVIEW_EVERY = 30.0


class Maintenance:
    """The recurring tasks of one worker. Each worker does them: any other one may be lost."""

    def __init__(
        self,
        worker: QueueWorker,
        store: Store,
        admission: JobAdmission,
        pipeline: RequestPipeline,
        events: JobEvents,
        settings: Settings,
        patience: DatabasePatience,
    ) -> None:
        self._worker = worker
        self._connection: Redis = worker.connection
        self._store = store
        self._admission = admission
        self._patience = patience
        self._events = events
        self._conditions = BulkConditions(settings)
        self._keep_alive = KeepAlive(pipeline, settings.keep_alive_seconds, settings.pinned_models)
        self._tasks = PeriodicTasks()
        self._queues = [queue for queue in worker.queues if isinstance(queue, LaneQueue)]
        self._next_due = float("inf")
        self._lost_workers = LostWorkers(store, self._connection, settings.lease, own=lambda: worker.name)

    @property
    def next_due(self) -> float:
        """Seconds until the next put-off job is due; infinity: there was none at the last look."""
        return self._next_due - time.monotonic()

    def run(self, *, idle: bool) -> None:
        """Enqueue jobs whose backoff is over, take back the jobs of lost workers, and give rows without an entry a new one.

        Closes and opens the bulk lane, and unloads a model that has been idle for too long. To be called about every second while
        jobs run. `idle`: no job runs or is about to run. Raises RedisError.
        """
        self._keep_alive.look(idle=idle)
        self._conditions.look()
        self._events.unloads_at, self._events.bulk_waits = self._keep_alive.unloads_at, self._conditions.waits
        self._admission.close_bulk(bool(self._conditions.waits))
        # Not by rq's scheduler, which would fork a process, or write to Redis every second.
        self._next_due = time.monotonic() + bring_due(self._connection, self._queues, LONGEST_DELAY)
        if self._tasks.is_due("review", REVIEW_EVERY) or not idle or self._admission.leaves:
            self._admission.review()
        if self._tasks.is_due("sweep", SWEEP_EVERY):
            self._admission.sweep()
        if not self._patience.waits:
            with self._patience.trying():
                self._compare_rows(idle=idle)

    def _compare_rows(self, *, idle: bool) -> None:
        """Make the lanes agree with the rows. Raises errors of the database."""
        for lost in self._lost_workers.look():
            sweep_files(lost, self._store)
        if self._tasks.is_due("reconcile", RECONCILE_EVERY):
            self._worker.stay_registered()
            reconcile(self._store, self._connection, older_than=ORPHANED_AFTER)
            if idle:
                # No job's row shows that a fault is over.
                self._patience.answered()
