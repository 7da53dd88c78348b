"""An rq worker with many leases: heartbeats for all of them, commands noted for later, and maintenance without a fork."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.exceptions import WatchError
from rq.command import handle_command, parse_payload
from rq.executions import Execution
from rq.job import Job as RQJob
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus

from jobs.queue.lanes import Entry, LaneQueue, lanes, put_off, reconcile
from jobs.store.store import Store
from jobs.store.tables import Job
from worker.dispatch.model_turns import Held, Turns
from worker.dispatch.queue_worker import QueueWorker

logger = logging.getLogger("captionq.worker")

#: The broker is away: generation goes on, and what has ended is reported when the broker is back.
AWAY = (RedisConnectionError, RedisTimeoutError)
#: A row that was written this long ago (seconds) and has no entry gets one: its writer died before it pushed.
ORPHANED_AFTER = 10.0
RECONCILE_EVERY = 60.0


@dataclass(frozen=True)
class Lease:
    """An entry, and the execution that holds it for this worker."""

    entry: Entry
    queue: LaneQueue
    execution: Execution


@dataclass(frozen=True)
class Flight(Lease):
    """A job that this worker runs."""

    job: Job


@dataclass(frozen=True)
class Landing:
    """A lease whose row has changed already; what is left is to tell rq."""

    lease: Lease
    #: Seconds until the next attempt; None: the job has ended.
    retry_in: int | None = None


class LeasingWorker(QueueWorker):
    """What `MetalWorker` needs of rq besides the batch."""

    log_result_lifespan = False
    max_connection_wait_time = 5.0  # rq's own 60 s would leave a broker that is back unnoticed for a minute
    dequeue_timeout = 1  # a short wait: signals and maintenance get their turn

    def __init__(self, name: str, connection: Redis, store: Store, lease: int) -> None:
        super().__init__(name, connection)
        self._store = store
        self._lease = lease
        self._flights: dict[str, Flight] = {}
        #: Dequeued, not yet claimed.
        self._turns = Turns()
        #: Jobs that somebody asked rq to stop.
        self._stops: deque[str] = deque()
        self._due: dict[str, float] = {}
        # Under the worker's fixed name it takes up the locks that its dead predecessor held.
        self._scheduler_tick = RQScheduler(self.queues, connection=connection, serializer=JSONSerializer, name=name)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._shutdown_requested_date is not None

    def handle_payload(self, message: Any) -> None:
        """A command from outside, on the thread that listens for them: a stop is noted here and done in the batch."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._stops.append(payload["job_id"])
        else:
            handle_command(self, payload)

    def get_heartbeat_ttl(self, job: RQJob, working_time: float = 0.0) -> int:
        """Seconds for which a heartbeat keeps the claim."""
        return self._lease

    def _open(self, group: Iterable[Held]) -> list[Lease]:
        """Lease entries: what rq writes in `prepare_execution` and `prepare_job_execution`, for all in one round trip."""
        leases: list[Lease] = []
        with self.connection.pipeline() as pipeline:
            for held in group:
                entry, queue = held.entry, held.queue
                execution = Execution.create(entry, self._lease, pipeline=pipeline, worker_name=self.name)
                entry.prepare_for_execution(self.name, pipeline=pipeline)
                pipeline.persist(entry.key)
                pipeline.lrem(queue.intermediate_queue_key, 1, entry.id)
                leases.append(Lease(entry, queue, execution))
            self.set_state(WorkerStatus.BUSY, pipeline=pipeline)
            self.heartbeat(self._lease, pipeline=pipeline)
            pipeline.execute()
        self.executions.update({lease.execution.id: lease.execution for lease in leases})
        return leases

    def _report(self, landings: Sequence[Landing]) -> None:
        """Tell rq of all in three round trips. May be repeated after a lost connection: each part is idempotent."""
        followers = [landing.lease.entry.dependents_key for landing in landings]
        with self.connection.pipeline() as pipeline, suppress(WatchError):
            pipeline.watch(*followers)
            if not pipeline.exists(*followers):
                pipeline.multi()
                for landing in landings:
                    self._close(landing, pipeline)
                pipeline.execute()
                return
        # Somebody else's rq jobs wait for these; rq knows what to do.
        for landing in landings:
            lease = landing.lease
            if landing.retry_in is None:
                self._finalize_success(lease.entry, lease.queue, lease.execution, None)
            else:
                with self.connection.pipeline() as pipeline:
                    self._close(landing, pipeline)
                    pipeline.execute()

    def _close(self, landing: Landing, pipeline: Pipeline) -> None:
        """Give up a lease, and the entry with it unless it is to come again."""
        entry = landing.lease.entry
        self.cleanup_execution(entry, pipeline=pipeline, execution=landing.lease.execution)
        if landing.retry_in is not None:
            put_off(entry, landing.lease.queue, landing.retry_in, pipeline)
            return
        pipeline.delete(entry.key, entry.dependencies_key, entry.execution_registry.key)
        self.increment_successful_job_count(pipeline)
        if entry.started_at is not None:
            self.increment_total_working_time(now() - entry.started_at, pipeline)

    def _beat(self) -> None:
        for flight in self._flights.values():
            self.maintain_heartbeats(flight.entry, flight.execution)

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Heartbeats from a thread of their own, while a model is fetched or loaded on this one."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._lease / 4):
                try:
                    self._beat()
                except AWAY as error:
                    logger.warning("The broker is away (%s) while a model loads.", error)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def run_maintenance_tasks(self) -> None:
        """rq's own, then what has waited long enough for its next attempt, then rows without an entry."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # rq's own signature
        tick = self._scheduler_tick  # rq would fork a process for it
        if tick.should_reacquire_locks or not tick.acquired_locks:
            tick.acquire_locks()
        tick.heartbeat()
        tick.enqueue_scheduled_jobs()
        if self._is_due("reconcile", RECONCILE_EVERY):
            self._sweep()
            reconcile(self._store, self.connection, older_than=ORPHANED_AFTER)

    def _sweep(self) -> None:
        """Ids that were taken and never came here: the reply was lost, or they had no hash. `reconcile` makes them anew."""
        held = self._turns.ids
        for queue in lanes(self.connection):
            for job_id in queue.intermediate_queue.get_job_ids():
                if job_id not in held:
                    queue.intermediate_queue.remove(job_id)

    def set_shutdown_requested_date(self) -> None:
        """Nothing: rq writes a date to Redis here, inside a signal handler, and Redis may be gone by then."""

    def _is_due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True
