"""A worker's recurring tasks beside its jobs: put-off jobs, lost workers, ids and rows that lost their places."""

from __future__ import annotations

from redis import Redis
from rq.queue import Queue
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from jobs.queue.reconcile import reconcile
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.queue.workers.taken_ids import hasten
from jobs.store.store import Store
from worker.dispatch.admission.job_admission import JobAdmission
from worker.dispatch.crash_recovery import sweep_files
from worker.dispatch.faults.database_patience import DatabasePatience
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.queue_worker import QueueWorker
from worker.dispatch.retries import LONGEST_DELAY

#: An urgent row that was written this long ago (seconds) and has no entry gets one: its writer died before it pushed.
ORPHANED_AFTER = 10.0
RECONCILE_EVERY = 10.0
#: Seconds between two sweeps of ids that are neither held nor leased.
SWEEP_EVERY = 60.0


class Maintenance:
    """The recurring tasks of one worker. Each worker does them: any other one may be lost."""

    def __init__(
        self, worker: QueueWorker, store: Store, admission: JobAdmission, lease: int, patience: DatabasePatience
    ) -> None:
        """`lease`: seconds for which a heartbeat keeps a lease."""
        self._worker = worker
        self._connection: Redis = worker.connection
        self._store = store
        self._admission = admission
        self._patience = patience
        self._tasks = PeriodicTasks()
        self._queues: list[Queue] = worker.queues
        # Under the worker's fixed name it takes over the locks that its dead predecessor held.
        self._scheduler = RQScheduler(
            self._queues, connection=self._connection, serializer=JSONSerializer, name=worker.name
        )
        self._lost_workers = LostWorkers(store, self._connection, lease, own=lambda: worker.name)

    def run(self, *, idle: bool) -> None:
        """Enqueue jobs whose backoff is over, take back the jobs of lost workers, and give rows without an entry a new one.

        To be called about every second. `idle`: no job runs or is about to run. Raises RedisError.
        """
        # rq would fork a process for it.
        if self._scheduler.should_reacquire_locks or not self._scheduler.acquired_locks:
            self._scheduler.acquire_locks()
        self._scheduler.heartbeat()
        for queue in self._queues:
            hasten(self._connection, queue, LONGEST_DELAY)
        self._scheduler.enqueue_scheduled_jobs()
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
