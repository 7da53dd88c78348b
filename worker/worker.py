"""`MetalWorker`: rq's worker, with many executions in flight in one process that never forks.

rq's own `work()` stays: birth, commands, suspension, maintenance, waiting for work. Replaced is what it does with a job: from
the first one on, `execute_job` runs a batch that is topped up between steps, until the lanes are empty.

The row decides what is so. A result goes into the row first, and the queue entry is removed after; an entry that comes a
second time finds its row claimed or ended.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from redis import Redis
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from jobs.errors import CaptionqError
from jobs.outputs import write_sidecar
from jobs.queue import Entry, LaneQueue, drop, put_off
from jobs.requests import path_of
from jobs.settings import Settings
from jobs.store import Result, Store
from jobs.tables import Job, JobStatus, Lane
from jobs.worker_state import withdraw_state
from worker.leasing import AWAY, Flight, LeasingWorker
from worker.pipeline import Outcome, Pipeline, as_captionq_error
from worker.telling import Teller
from worker.turns import Held

logger = logging.getLogger("captionq.worker")

#: Seconds between two tries to reach a broker that is away.
AWAY_PAUSE = 1.0
#: Seconds between two looks at the clock while the broker is away and nothing is left to generate.
IDLE_PAUSE = 0.05
#: Seconds before the second, third … attempt after a transient error.
BACKOFF = (1, 5, 30)
#: A job whose worker died this often while it ran, runs alone: if it is the culprit, it takes no other along.
ALONE_AFTER_DEATHS = 2
#: Jobs that are taken between two steps of the engine at most.
AT_ONCE = 8
#: Seconds between two looks for jobs that were cancelled while they run.
WATCH_EVERY = 1.0


@dataclass(frozen=True)
class Landing:
    """A flight whose row has changed already; what is left is to tell rq."""

    flight: Flight
    #: Seconds until the next attempt; None: the job has ended.
    retry_in: int | None = None


class MetalWorker(LeasingWorker):
    """Keeps the pipeline full from the lanes, and the store true to what comes out."""

    def __init__(self, name: str, connection: Redis, store: Store, pipeline: Pipeline, settings: Settings) -> None:
        super().__init__(name, connection, store, settings.lease)
        self._pipeline = pipeline
        self._settings = settings
        self._landed: deque[Landing] = deque()
        self._teller = Teller(name, connection, pipeline, settings.lease)
        #: What ended `work()`, when it was not asked to end.
        self.crash: Exception | None = None

    # -- the batch ------------------------------------------------------------------------------------

    def execute_job(self, job: RQJob, queue: Queue) -> None:
        """rq's hook, called with the first job when the worker was idle. Returns when nothing is left to do."""
        self._hold(job, queue)
        deadline: float | None = None
        try:
            while self._flights or self._landed or self._turns:
                if self._stop_requested:
                    deadline = deadline or time.monotonic() + self._settings.grace
                    # One that is held has not begun: it can wait for the next worker.
                    if time.monotonic() >= deadline or not (self._flights or self._landed):
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
        outcomes = self._pipeline.step()
        self._teller.metrics.stepped(time.perf_counter() - begun)
        self._teller.tokens(self._pipeline.said)
        for outcome in outcomes:
            self._conclude(outcome)

    def _talk_to_broker(self) -> None:
        """All of the batch's Redis traffic. While the broker is away none of it is lost, only late."""
        if not self._is_due("broker", 0.0):
            if not self._pipeline.in_flight:
                time.sleep(IDLE_PAUSE)
            return
        try:
            while self._landed:
                self._report(self._landed[0])
                self._landed.popleft()
            if self._is_due("beat", self._lease / 4):
                self._beat()
            self._teller.state()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if not self._stop_requested:
                self._take_turns()
                self._top_up()
        except AWAY as error:
            running = len(self._flights)
            logger.warning("The broker is away (%s); %d jobs go on, %d to report.", error, running, len(self._landed))
            self._due["broker"] = time.monotonic() + AWAY_PAUSE
        if self._stops or self._is_due("watch", WATCH_EVERY):
            self._drop_cancelled()

    def _take_turns(self) -> None:
        """Begin jobs that were held and whose turn has come."""
        if self._pipeline.in_flight and self._turns.somebody_is_overdue:
            return
        for held in self._turns.in_order():
            if self._pipeline.room(urgent=held.lane == Lane.INTERACTIVE) > 0 and self._may_begin(held):
                self._turns.release(held)
                self._take(held)

    def _top_up(self) -> None:
        """Take jobs from the lanes as long as there is room for them, a few at a time: the model is not to wait for all."""
        for _ in range(AT_ONCE):
            if self._turns.full or self._turns.somebody_is_overdue or not (queues := self._lanes_with_room()):
                return
            taken = LaneQueue.dequeue_any(queues, None, self.connection, Entry, JSONSerializer)
            if taken is None:
                return
            self._hold(*taken)
            self._take_turns()

    def _hold(self, entry: RQJob, queue: Queue) -> None:
        """Keep what was dequeued until its turn, which may be at once."""
        assert isinstance(entry, Entry)
        assert isinstance(queue, LaneQueue)
        job = self._store.find(entry.id)
        self._turns.hold(Held(entry, queue, job, alone=job is not None and job.deaths >= ALONE_AFTER_DEATHS))

    def _may_begin(self, held: Held) -> bool:
        """Whether what runs allows it: a job that has to be alone is, and a model's jobs run among themselves."""
        if self._flights and (held.alone or self._somebody_is_alone()):
            return False
        # One without a row is only to be thrown away.
        return held.job is None or self._pipeline.accepts(held.job.model)

    def _lanes_with_room(self) -> list[Queue]:
        """When the batch is full of bulk work there is still room for those whom somebody waits for."""
        if self._pipeline.room() > 0:
            return list(self.queues)
        if self._pipeline.room(urgent=True) > 0:
            return [queue for queue in self.queues if queue.name == Lane.INTERACTIVE]
        return []

    def _take(self, held: Held) -> None:
        """Claim a job and begin it."""
        entry, queue = held.entry, held.queue
        job = held.job if held.is_fresh else self._store.find(entry.id)
        if job is None or job.status != JobStatus.QUEUED:
            drop(self.connection, queue, entry.id, keep=entry.id in self._flights)
            return
        try:
            entry.check()
        except CaptionqError as error:
            self._store.fail(entry.id, error)
            drop(self.connection, queue, entry.id, keep=False)
            return
        entry.redis_server_version = queue.get_redis_server_version()
        execution = self.prepare_execution(entry)
        self.prepare_job_execution(entry, remove_from_intermediate_queue=True)
        claimed = self._store.claim(entry.id, self.name)
        flight = Flight(claimed or job, entry, queue, execution)
        if claimed is None:
            self._landed.append(Landing(flight))
            return
        self._flights[entry.id] = flight
        self._begin(flight)

    def _begin(self, flight: Flight) -> None:
        job = flight.job
        self._teller.began(job)
        try:
            request = job.parsed_request()
            if self._pipeline.model != request.model:
                self._load(job.id, request.model)
            roots = job.parsed_roots()
            urgent = job.lane == Lane.INTERACTIVE
            self._pipeline.begin(job.id, request, urgent=urgent, followed=job.streamed, roots=roots)
        except Exception as error:
            self._conclude(Outcome(job.id, error=as_captionq_error(error)))

    def _load(self, job_id: str, model: str) -> None:
        """Bring the model in, and tell whoever watches the job that waits for it."""
        logger.info("Loading %s.", model)
        begun = time.monotonic()
        self._teller.tell(job_id, "loading", model=model)
        with self._beating():
            self._pipeline.load(model)
        self._teller.tell(job_id, "loaded", model=model, seconds=round(time.monotonic() - begun, 3))

    def _somebody_is_alone(self) -> bool:
        return any(flight.job.deaths >= ALONE_AFTER_DEATHS for flight in self._flights.values())

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """rq's hook, also called while there is nothing to do."""
        super().heartbeat(timeout, pipeline)
        self._teller.state()

    def register_death(self) -> None:
        """rq's hook at the end of `work()`."""
        super().register_death()  # type: ignore[no-untyped-call]
        withdraw_state(self.connection, self.name)

    # -- the end of a job ---------------------------------------------------------------------------

    def _conclude(self, outcome: Outcome) -> None:
        """Bring the row to what the outcome says. A row that was cancelled meanwhile stays so."""
        flight = self._flights.pop(outcome.key)
        if outcome.result is not None:
            self._landed.append(Landing(flight, self._deliver(flight.job, outcome.result)))
        else:
            assert outcome.error is not None
            self._landed.append(Landing(flight, self._failed(flight.job, outcome.error)))

    def _deliver(self, job: Job, result: Result) -> int | None:
        # The file goes first: when the process dies in between, the job runs again and writes the same file. The other
        # way round a row would claim a file that is not there.
        try:
            if job.output is not None:
                write_sidecar(path_of(job.output), result.text)
        except CaptionqError as error:
            return self._failed(job, error, result)
        if self._store.succeed(job.id, result):
            self._teller.succeeded(job, result)
        return None

    def _failed(self, job: Job, error: CaptionqError, result: Result | None = None) -> int | None:
        """Fail the row, or release it for another attempt. Returns the seconds until that attempt."""
        logger.info("%s failed: %s", job.source or job.id, error.message)
        if error.transient and job.attempts < self._settings.max_attempts:
            if self._store.release(job.id, error):
                self._teller.failed(job, again=True)
                return BACKOFF[min(job.attempts, len(BACKOFF)) - 1]
        elif self._store.fail(job.id, error, result):
            self._teller.failed(job, again=False)
        return None

    def _report(self, landing: Landing) -> None:
        """Tell rq. May be repeated after a lost connection: each part is idempotent."""
        flight = landing.flight
        if landing.retry_in is None:
            self._finalize_success(flight.entry, flight.queue, flight.execution, None)
            return
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(flight.entry, pipeline=pipeline, execution=flight.execution)
            put_off(flight.entry, flight.queue, landing.retry_in, pipeline)
            pipeline.execute()

    def _put_back(self) -> None:
        """What has not ended goes back to the front of its lane: the grace is over, or the batch broke."""
        for flight in self._flights.values():
            self._pipeline.cancel(flight.job.id)
            self._store.release(flight.job.id)
        try:
            while self._landed:
                self._report(self._landed.popleft())
            for flight in self._flights.values():
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(flight.entry, pipeline=pipeline, execution=flight.execution)
                    # Private, pinned: see tests/test_contracts.py.
                    flight.queue._enqueue_job(flight.entry, pipeline=pipeline, at_front=True)  # noqa: SLF001
                    pipeline.execute()
            self.set_state(WorkerStatus.IDLE)
        except AWAY as error:
            logger.warning("The broker is away (%s); the next worker puts %d jobs back.", error, len(self._flights))
        # Those that were held have never been claimed: their ids are in the intermediate list, and `recover` puts them back.
        self._flights.clear()
        self._turns.clear()

    def _drop_cancelled(self) -> None:
        while self._stops:
            self._store.cancel([self._stops.popleft()])
        for job_id in self._store.not_running(list(self._flights)):
            self._pipeline.cancel(job_id)
            self._landed.append(Landing(self._flights.pop(job_id)))
