"""Maintenance between the jobs of a worker: retries whose backoff is over, lost entries, and urgent rows without one."""

from __future__ import annotations

from collections.abc import Sequence

from redis import Redis
from rq.queue import Queue
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from jobs.queue.lanes import hasten
from jobs.queue.reconcile import reconcile
from jobs.store.store import Store
from worker.dispatch.faults.database_patience import DatabasePatience
from worker.dispatch.job_admission import JobAdmission
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.retries import LONGEST_DELAY

#: An urgent row that was written this long ago (seconds) and has no entry gets one: its writer died before it pushed.
ORPHANED_AFTER = 10.0
RECONCILE_EVERY = 10.0
#: Seconds between two sweeps of ids that are neither held nor leased.
SWEEP_EVERY = 60.0


class Maintenance:
    """The tasks of one worker, each with its own interval."""

    def __init__(
        self,
        name: str,
        queues: Sequence[Queue],
        connection: Redis,
        store: Store,
        admission: JobAdmission,
        patience: DatabasePatience,
    ) -> None:
        self._queues = queues
        self._connection = connection
        self._store = store
        self._admission = admission
        self._patience = patience
        self._tasks = PeriodicTasks()
        # Under the worker's fixed name it takes over the locks that its dead predecessor held.
        self._scheduler_tick = RQScheduler(queues, connection=connection, serializer=JSONSerializer, name=name)

    def run(self, *, idle: bool) -> None:
        """Enqueue jobs whose backoff is over, sweep the lanes, and give rows without an entry a new one. Raises RedisError.

        `idle`: no job runs or is about to run.
        """
        tick = self._scheduler_tick  # rq would fork a process for it
        if tick.should_reacquire_locks or not tick.acquired_locks:
            tick.acquire_locks()
        tick.heartbeat()
        for queue in self._queues:
            hasten(self._connection, queue, LONGEST_DELAY)
        tick.enqueue_scheduled_jobs()
        if self._tasks.is_due("sweep", SWEEP_EVERY):
            self._admission.sweep()
        if not self._patience.waits and self._tasks.is_due("reconcile", RECONCILE_EVERY):
            with self._patience.trying():
                reconcile(self._store, self._connection, older_than=ORPHANED_AFTER)
                if idle:
                    # No job's row shows that a fault is over.
                    self._patience.answered()
