"""`MetalWorker`: rq's worker, with many executions in flight in one process that never forks.

rq's own `work()` stays: birth, commands, suspension, maintenance, waiting for work. `execute_job` is replaced: it begins with
the first job and runs a batch that is topped up between engine steps, until the lanes are empty.

The row is the truth. A result goes into the row first, and the queue entry is removed afterwards; an entry that comes a second
time finds its row claimed or ended.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.command import handle_command, parse_payload
from rq.job import Job as RQJob
from rq.queue import Queue
from sqlalchemy.exc import DBAPIError

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseError, first_line
from jobs.queue.lanes import Entry
from jobs.queue.worker_state import withdraw_state
from jobs.store.store import Store
from worker.dispatch.faults.database_patience import DatabasePatience, is_of_database
from worker.dispatch.faults.held_outcomes import HeldOutcomes
from worker.dispatch.faults.watchdog import Watchdog
from worker.dispatch.job_admission import JobAdmission
from worker.dispatch.job_events import AWAY_SAID_EVERY, JobEvents
from worker.dispatch.job_starts import JobStarts
from worker.dispatch.maintenance import Maintenance
from worker.dispatch.outcomes.job_outcomes import JobOutcomes, Recorded
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.queue_worker import QueueWorker
from worker.dispatch.rq_leases import AWAY, Lease, Leases
from worker.dispatch.sleep_guard import SleepGuard
from worker.dispatch.unreached import Unreached
from worker.engine.sequences import Outcome
from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two tries to reach a broker that is away.
AWAY_PAUSE = 1.0
#: Seconds to sleep while the broker is away and there is nothing left to generate.
IDLE_PAUSE = 0.05
#: Seconds between two reports to rq of ended jobs, while others run: reports cost the model's time.
REPORT_EVERY = 0.1
#: Seconds between two looks for running jobs that were cancelled.
WATCH_EVERY = 1.0


class MetalWorker(QueueWorker):
    """Keeps the pipeline full from the lanes, and the store true to the pipeline's outcomes."""

    log_result_lifespan = False
    max_connection_wait_time = 5.0  # rq's own 60 s would leave a broker that is back unnoticed for a minute
    dequeue_timeout = 1  # a short wait: signals and maintenance get their turn

    def __init__(
        self, name: str, connection: Redis, store: Store, pipeline: RequestPipeline, settings: Settings
    ) -> None:
        super().__init__(name, connection)
        self._store = store
        self._pipeline = pipeline
        self._settings = settings
        self._leases = Leases(self, settings.lease)
        unreached = Unreached(name, connection)
        self._admission = JobAdmission(connection, store, pipeline, self._leases, name, unreached)
        self._events = JobEvents(name, connection, pipeline, lambda: self._held.fault)
        self._starts = JobStarts(pipeline, self._leases, self._events)
        self._outcomes = JobOutcomes(name, store, self._events, settings.max_attempts, unreached)
        # After a fault, rows may say that they run here of whose claim this worker never heard.
        self._patience = DatabasePatience(
            settings, lambda: store.recover(name, died=False, keeping=self._leases.running)
        )
        self._held = HeldOutcomes(store, self._outcomes, self._patience)
        #: Ids of jobs to stop, noted by the thread that listens for rq's commands.
        self._stops: deque[str] = deque()
        self._tasks = PeriodicTasks()
        self._sleep_guard = SleepGuard()
        self._maintenance = Maintenance(name, self.queues, connection, store, self._admission, self._patience)
        self._watchdog = Watchdog(settings, self._events.pulse)
        #: The error that ended `work()`, when it was not asked to end.
        self.crash: Exception | None = None

    @property
    def stopping(self) -> bool:
        """Whether the worker was asked to stop."""
        return self._shutdown_requested_date is not None

    # -- the batch ------------------------------------------------------------------------------------

    def execute_job(self, job: RQJob, queue: Queue) -> None:
        """Run batches until nothing is left to do. rq's hook, called with the first job of an idle worker."""
        assert isinstance(job, Entry)
        with self._sleep_guard.held(), self._watchdog.watching():
            self._run_batches(job, queue)

    def _run_batches(self, job: Entry, queue: Queue) -> None:
        deadline: float | None = None
        try:
            with self._patience.trying():
                self._admission.hold([(job, queue)])
            while self._leases or self._admission:
                if self._stop_requested:
                    deadline = deadline or time.monotonic() + self._settings.grace
                    # Held jobs have not begun: they can wait for the next worker.
                    if time.monotonic() >= deadline or not self._leases:
                        break
                self._talk_to_broker()
                self._step()
        except Exception as error:
            self.crash = error
            raise
        finally:
            self._put_back()

    def _step(self) -> None:
        begun = time.perf_counter()
        with self._watchdog.step():
            outcomes = self._pipeline.step()
        self._events.metrics.stepped(time.perf_counter() - begun)
        self._events.tokens(self._pipeline.said, lambda job_id: self._leases.running[job_id].claimed.attempts)
        for outcome in outcomes:
            self._conclude(outcome)
        self._end(self._held.deliver(0.0 if self._pipeline.in_flight else IDLE_PAUSE))
        self._end(self._held.retry())
        if self._held.fault and not self._pipeline.in_flight:
            time.sleep(IDLE_PAUSE)

    def _conclude(self, outcome: Outcome) -> None:
        self._end(self._held.record(self._leases.running[outcome.key].claimed, outcome))

    def _end(self, recorded: Iterable[Recorded]) -> None:
        for job_id, retry_in in recorded:
            if job_id in self._leases.running:  # unless the job was cancelled while its file was written
                self._leases.end(job_id, retry_in=retry_in)

    def _talk_to_broker(self) -> None:
        """Do all of the batch's Redis traffic. While the broker is away nothing is lost, only late."""
        if not self._tasks.is_due("broker", 0.0):
            if not self._pipeline.in_flight:
                time.sleep(IDLE_PAUSE)
            return
        try:
            if not self._leases.running or self._tasks.is_due("report", REPORT_EVERY):
                self._leases.report()
            if self._tasks.is_due("beat", self._settings.lease / 4):
                self._leases.beat()
            self._events.state()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if not (self._stop_requested or self._held.waits_for_database or self._patience.waits):
                self._admission.urgent_only = bool(self._held.lack_of_room)
                with self._patience.trying():
                    self._begin(self._admission.next_held())
                    self._begin(self._admission.next_queued())
        except AWAY as error:
            if self._tasks.is_due("say", AWAY_SAID_EVERY):
                logger.warning("The broker is away (%s); %d jobs go on.", error, len(self._leases.running))
            self._tasks.put_off("broker", AWAY_PAUSE)
        if (self._stops or self._tasks.is_due("watch", WATCH_EVERY)) and not self._patience.waits:
            with self._patience.trying():
                self._drop_cancelled()

    def _begin(self, leases: Sequence[Lease]) -> None:
        # All leases are kept before the first job begins: heartbeats renew them while a model is loaded for it.
        kept = self._leases.keep(leases)
        for lease in kept:
            if (outcome := self._starts.start(lease.claimed)) is not None:
                self._conclude(outcome)
        if kept:
            self._patience.answered()

    def _drop_cancelled(self) -> None:
        while self._stops:
            self._store.cancel([self._stops[0]])
            self._stops.popleft()
        for job_id in self._store.not_running(list(self._leases.running)):
            self._pipeline.cancel(job_id)
            self._leases.end(job_id)

    def _put_back(self) -> None:
        """Return running jobs to the front of their lanes: the grace is over, or an error ended the batch.

        If the error came neither from the broker nor from the store, one of the running jobs may be the cause and would break
        the next worker as well. Their rows keep saying `running`, and `recover` counts a death for each.
        """
        blameless = self.crash is None or isinstance(self.crash, RedisError) or is_of_database(self.crash)
        self._pipeline.clear()
        self._outcomes.close()
        if blameless:
            self._release()
        try:
            self._leases.report()
            self._leases.give_back_all(requeue=blameless)
        except AWAY as error:
            logger.warning(
                "The broker is away (%s); the next worker puts %d jobs back.", error, len(self._leases.running)
            )
        self._leases.running.clear()
        self._admission.clear()
        self._held.clear()

    def _release(self) -> None:
        try:
            self._end(self._held.deliver(0.0))
            self._end(self._held.give_up())
            for job_id in self._leases.running:
                self._store.release(job_id)
        except (DBAPIError, DatabaseError) as error:
            logger.warning("The database is at fault (%s); the next worker queues these jobs again.", first_line(error))

    # -- rq's hooks -----------------------------------------------------------------------------------

    def handle_payload(self, message: Any) -> None:
        """Handle a command on rq's listening thread: a stop is noted here and done in the batch."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._stops.append(payload["job_id"])
        else:
            handle_command(self, payload)

    def get_heartbeat_ttl(self, job: RQJob, working_time: float = 0.0) -> int:
        """Seconds for which a heartbeat keeps the claim."""
        return self._settings.lease

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Renew the worker's own key and state, also while the worker is idle."""
        super().heartbeat(timeout, pipeline)
        self._events.state()

    def run_maintenance_tasks(self) -> None:
        """Run rq's tasks and captionq's own."""
        super().run_maintenance_tasks()
        self._maintenance.run(idle=not self._leases and not self._admission)

    def register_death(self) -> None:
        """Withdraw the worker's state at the end of `work()`."""
        super().register_death()  # type: ignore[no-untyped-call]
        withdraw_state(self.connection, self.name)

    def set_shutdown_requested_date(self) -> None:
        """Write nothing: rq writes a date to Redis here, inside a signal handler, and Redis may be gone by then."""
