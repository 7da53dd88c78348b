"""`MetalWorker`: rq's worker, with many executions in flight in one process that never forks.

rq's own `work()` stays: birth, commands, suspension, maintenance, waiting for work. `execute_job` is replaced: it begins with
the first job and runs a batch that is topped up between engine steps, until the lanes are empty.

The row is the truth. A result goes into the row first, and the queue entry is removed afterwards; an entry that comes a second
time finds its row claimed or ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.command import handle_command, parse_payload
from rq.exceptions import StopRequested
from rq.job import Job as RQJob
from rq.queue import Queue
from sqlalchemy.exc import DBAPIError

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseError, first_line
from jobs.queue.lanes import Entry, LaneQueue
from jobs.queue.workers.draining import LOOK, is_draining
from jobs.queue.workers.orderly_end import note_orderly_end
from jobs.store.claims import Claim
from jobs.store.store import Store
from worker.dispatch.admission.job_admission import JobAdmission
from worker.dispatch.admission.model_affinity import ModelAffinity
from worker.dispatch.admission.unreached import Unreached
from worker.dispatch.claim_watch import ClaimWatch
from worker.dispatch.faults.database_patience import DatabasePatience, is_of_database
from worker.dispatch.faults.held_outcomes import HeldOutcomes
from worker.dispatch.faults.watchdog import Watchdog
from worker.dispatch.job_events import AWAY_SAID_EVERY, JobEvents
from worker.dispatch.job_starts import JobStarts
from worker.dispatch.maintenance import Maintenance
from worker.dispatch.outcomes.job_outcomes import JobOutcomes
from worker.dispatch.periodic import PeriodicTasks
from worker.dispatch.rq_leases import AWAY, Lease, Leases
from worker.dispatch.sleep_guard import SleepGuard
from worker.dispatch.waiting_worker import WaitingWorker
from worker.engine.sequences import Outcome
from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two tries to reach a broker that is away.
AWAY_PAUSE = 1.0
#: Seconds to sleep while the broker is away and there is nothing left to generate.
IDLE_PAUSE = 0.05
#: Seconds from the beginning of a batch until the worker publishes its state and does other tasks.
FIRST_STEPS = 0.05
#: Seconds between two reports to rq of ended jobs, while others run: reports cost the model's time.
REPORT_EVERY = 0.1


class MetalWorker(WaitingWorker):
    """Keeps the pipeline full from the lanes, and the store true to the pipeline's outcomes."""

    def __init__(
        self, name: str, connection: Redis, store: Store, pipeline: RequestPipeline, settings: Settings
    ) -> None:
        super().__init__(name, connection)
        self._store = store
        self._pipeline = pipeline
        self._settings = settings
        self._leases = Leases(self, settings.lease)
        unreached = Unreached(name, connection)
        queues = [queue for queue in self.queues if isinstance(queue, LaneQueue)]
        affinity = ModelAffinity(connection, pipeline, queues, name, settings.model)
        self._admission = JobAdmission(connection, store, pipeline, self._leases, queues, affinity, unreached, name)
        self._events = JobEvents(name, connection, pipeline, settings.lease, lambda: self._held.fault)
        self._starts = JobStarts(pipeline, self._leases, self._events)
        self._outcomes = JobOutcomes(name, store, self._events, settings.max_attempts, unreached)
        # After a fault, rows may say that they run here of whose claim this worker never heard.
        self._patience = DatabasePatience(
            settings, lambda: store.recover(name, died=False, keeping=self._leases.running)
        )
        self._held = HeldOutcomes(store, self._outcomes, self._patience)
        self._watch = ClaimWatch(store, pipeline, self._leases, settings.lease, self._patience)
        self._tasks = PeriodicTasks()
        self._sleep_guard = SleepGuard()
        self._maintenance = Maintenance(self, store, self._admission, pipeline, self._events, settings, self._patience)
        self._watchdog = Watchdog(settings, self._events.pulse)
        #: Whether a batch runs, which may be an empty one.
        self._is_running = False
        #: The error that ended `work()`, when it was not asked to end.
        self.crash: Exception | None = None

    @property
    def drained(self) -> bool:
        """Whether the worker was asked to drain: it takes no more jobs."""
        return self._events.draining

    def execute_job(self, job: RQJob, queue: Queue) -> None:
        """Run batches until nothing is left to do. rq's hook, called with the first job of an idle worker."""
        assert isinstance(job, Entry)
        self._is_running = True
        with self._sleep_guard.held(), self._watchdog.watching():
            self._run_batches(job, queue)
        self._is_running = False

    def _run_batches(self, job: Entry, queue: Queue) -> None:
        deadline: float | None = None
        # The first job begins, and makes its first step, before anything else is done.
        self._tasks.put_off("tell", FIRST_STEPS)
        try:
            with self._patience.trying():
                self._admission.hold([(job, queue)])
            while self._leases or self._admission:
                if self._events.draining and not self._leases:
                    break
                if self._stop_requested:
                    deadline = deadline or time.monotonic() + self._settings.grace
                    # Held jobs have not begun: they can wait for the next worker.
                    if time.monotonic() >= deadline or not self._leases:
                        break
                self._watch.look()
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
        self._watch.look_after_pause()
        self._events.tokens(self._pipeline.said, lambda job_id: self._leases.running[job_id].claimed.attempts)
        for outcome in outcomes:
            self._conclude(outcome)
        self._watch.end(self._held.deliver(0.0 if self._pipeline.in_flight else IDLE_PAUSE))
        self._watch.end(self._held.retry())
        self._events.flush()
        if self._held.fault and not self._pipeline.in_flight:
            time.sleep(IDLE_PAUSE)

    def _conclude(self, outcome: Outcome) -> None:
        # A job that was dropped a moment ago has no lease any more.
        if (lease := self._leases.running.get(outcome.key)) is not None:
            self._watch.end(self._held.record(lease.claimed, outcome))

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
            self._admit()
            if self._tasks.is_due("tell", 0.0):
                self._events.state()
                if self.should_run_maintenance_tasks:
                    self.run_maintenance_tasks()
            self.failures = 0
        except AWAY as error:
            if self.has_lost_server(error) and not self._pipeline.in_flight:
                raise
            if self._tasks.is_due("say", AWAY_SAID_EVERY):
                logger.warning("The broker is away (%s); %d jobs go on.", error, len(self._leases.running))
            self._tasks.put_off("broker", AWAY_PAUSE)

    def _admit(self) -> None:
        if self._events.draining:
            self._admission.give_back()
        elif not (self._stop_requested or self._held.waits_for_database or self._patience.waits):
            self._admission.urgent_only = bool(self._held.lack_of_room)
            with self._patience.trying():
                self._begin(self._admission.next_held())
                self._begin(self._admission.next_queued())

    def _begin(self, leases: Sequence[Lease]) -> None:
        # All leases are kept before the first job begins: heartbeats renew them while a model is loaded for it.
        kept = self._leases.keep(leases)
        for outcome in self._starts.start([lease.claimed for lease in kept]):
            self._conclude(outcome)
        if kept:
            self._patience.answered()

    def _put_back(self) -> None:
        """Return running jobs to the front of their lanes: the grace is over, or an error ended the batch.

        If the error came neither from the broker nor from the store, one of the running jobs may be the cause and would break
        the next worker as well. Their rows keep saying `running`, and `recover` counts a death for each.
        """
        blameless = self.crash is None or isinstance(self.crash, RedisError) or is_of_database(self.crash)
        self._pipeline.clear()
        self._outcomes.close()
        released = self._release() if blameless else []
        try:
            self._leases.report()
            self._leases.give_back_all(released)
            self._admission.give_back()
            self._events.flush()
        except AWAY as error:
            logger.warning("The broker is away (%s); the next worker has %d jobs.", error, len(self._leases.running))
        self._leases.running.clear()
        self._held.clear()

    def _release(self) -> list[str]:
        """Release the rows of the running jobs, and return the ids of those that were this worker's to release."""
        released: list[str] = []
        try:
            self._watch.end(self._held.deliver(0.0))
            self._watch.end(self._held.give_up())
            for job_id, lease in self._leases.running.items():
                if self._store.release(Claim.of(lease.claimed)):
                    released.append(job_id)
        except (DBAPIError, DatabaseError) as error:
            logger.warning("The database is at fault (%s); the next worker queues these jobs again.", first_line(error))
            note_orderly_end(self.connection, self.name)
        return released

    # -- rq's hooks -----------------------------------------------------------------------------------

    def handle_payload(self, message: Any) -> None:
        """Handle a command on rq's listening thread: a stop is noted here and done in the batch."""
        payload = parse_payload(message)
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._watch.stops.append(payload["job_id"])
        elif payload.get("command") == LOOK:
            self.wake()
        else:
            handle_command(self, payload)

    def get_heartbeat_ttl(self, job: RQJob, working_time: float = 0.0) -> int:
        """Seconds for which a heartbeat keeps the claim."""
        return self._settings.lease

    def run_maintenance_tasks(self) -> None:
        """Run rq's tasks and captionq's own. A worker that was asked to drain and has nothing left to do ends (StopRequested)."""
        super().run_maintenance_tasks()
        self._maintenance.run(idle=not self._leases and not self._admission)
        self._events.draining = is_draining(self.connection, self.name)
        if self.drained and not self._is_running:
            raise StopRequested
