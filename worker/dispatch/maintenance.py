"""A worker's recurring tasks beside its jobs: put-off jobs, lost workers, ids and rows that lost their places."""

from __future__ import annotations

from redis import Redis
from rq.queue import Queue
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from jobs.queue.reconcile import reconcile
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.store.store import Store
from worker.dispatch.admission.job_admission import JobAdmission
from worker.dispatch.crash_recovery import sweep_files
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.queue_worker import QueueWorker

#: An urgent row that was written this long ago (seconds) and has no entry gets one: its writer died before it pushed.
ORPHANED_AFTER = 10.0
RECONCILE_EVERY = 10.0
#: Seconds between two sweeps of ids that are neither held nor leased.
SWEEP_EVERY = 60.0


class Maintenance:
    """The recurring tasks of one worker. Each worker does them: any other one may be lost."""

    def __init__(self, worker: QueueWorker, store: Store, admission: JobAdmission, lease: int) -> None:
        """`lease`: seconds for which a heartbeat keeps a lease."""
        self._worker = worker
        self._connection: Redis = worker.connection
        self._store = store
        self._admission = admission
        self._tasks = PeriodicTasks()
        queues: list[Queue] = worker.queues
        # Under the worker's fixed name it takes over the locks that its dead predecessor held.
        self._scheduler = RQScheduler(queues, connection=self._connection, serializer=JSONSerializer, name=worker.name)
        self._lost_workers = LostWorkers(store, self._connection, lease, own=lambda: worker.name)

    def run(self) -> None:
        """Enqueue jobs whose backoff is over, take back the jobs of lost workers, and give rows without an entry a new one.

        To be called about every second. Raises RedisError.
        """
        # rq would fork a process for it.
        if self._scheduler.should_reacquire_locks or not self._scheduler.acquired_locks:
            self._scheduler.acquire_locks()
        self._scheduler.heartbeat()
        self._scheduler.enqueue_scheduled_jobs()
        self._admission.review()
        for lost in self._lost_workers.look():
            sweep_files(lost, self._store)
        if self._tasks.is_due("sweep", SWEEP_EVERY):
            self._admission.sweep()
        if self._tasks.is_due("reconcile", RECONCILE_EVERY):
            self._worker.stay_registered()
            reconcile(self._store, self._connection, older_than=ORPHANED_AFTER)
