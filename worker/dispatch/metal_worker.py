"""`MetalWorker`: rq's worker, with many executions in flight in one process that never forks.

rq's own `work()` stays: birth, commands, suspension, maintenance, waiting for work. Replaced is what it does with a job: from
the first one on, `execute_job` runs a batch that is topped up between steps, until the lanes are empty.

The row decides what is so. A result goes into the row first, and the queue entry is removed after; an entry that comes a
second time finds its row claimed or ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job as RQJob
from rq.queue import Queue
from rq.worker import WorkerStatus
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs.errors import CaptionqError
from jobs.queue.lanes import Entry, LaneQueue, drop, take
from jobs.queue.worker_state import withdraw_state
from jobs.settings import Settings
from jobs.store.connection import is_away
from jobs.store.queries import Glance
from jobs.store.store import Result, Store
from jobs.store.tables import Job, JobStatus, Lane
from worker.dispatch.job_events import Teller
from worker.dispatch.model_turns import Held
from worker.dispatch.output_delivery import deliver
from worker.dispatch.rq_leases import AWAY, Flight, Landing, LeasingWorker
from worker.pipeline.pipeline import Outcome, Pipeline, as_captionq_error

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
#: Bulk jobs that there is to be room for before any is taken: several cost little more than one. It has to be less than the
#: group that is prepared ahead, for no slot is to stay free meanwhile.
FEW = 4
#: Seconds between two reports to rq of what has ended, while other jobs run.
REPORT_EVERY = 0.1
#: Seconds between two looks for jobs that were cancelled while they run.
WATCH_EVERY = 1.0


class MetalWorker(LeasingWorker):
    """Keeps the pipeline full from the lanes, and the store true to what comes out."""

    def __init__(self, name: str, connection: Redis, store: Store, pipeline: Pipeline, settings: Settings) -> None:
        super().__init__(name, connection, store, settings.lease)
        self._pipeline = pipeline
        self._settings = settings
        self._landed: list[Landing] = []
        self._teller = Teller(name, connection, pipeline, settings.lease)
        #: What ended `work()`, when it was not asked to end.
        self.crash: Exception | None = None

    # -- the batch ------------------------------------------------------------------------------------

    def execute_job(self, job: RQJob, queue: Queue) -> None:
        """rq's hook, called with the first job when the worker was idle. Returns when nothing is left to do."""
        assert isinstance(job, Entry)
        deadline: float | None = None
        try:
            self._hold([(job, queue)])
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
        self._teller.tokens(self._pipeline.said, lambda job_id: self._flights[job_id].job.attempts)
        for outcome in outcomes:
            self._conclude(outcome)

    def _talk_to_broker(self) -> None:
        """All of the batch's Redis traffic. While the broker is away none of it is lost, only late."""
        if not self._is_due("broker", 0.0):
            if not self._pipeline.in_flight:
                time.sleep(IDLE_PAUSE)
            return
        try:
            self._report_landed()
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
        group: list[Held] = []
        for held in self._turns.in_order():
            room = self._pipeline.room(urgent=held.lane == Lane.INTERACTIVE)
            if room > len(group) and self._may_begin(held, group):
                group.append(held)
        if group:
            self._take(group)

    def _top_up(self) -> None:
        """Take jobs from the lanes if there is room for them, a few at a time: the model is not to wait for all."""
        if self._turns.full or self._turns.somebody_is_overdue:
            return
        queues, room = self._lanes_with_room()
        if room > 0 and (taken := take(self.connection, queues, min(room, AT_ONCE))):
            self._hold(taken)
            self._take_turns()

    def _hold(self, taken: Sequence[tuple[Entry, Queue]]) -> None:
        """Keep what was dequeued until its turn, which may be at once."""
        rows = self._store.glance([entry.id for entry, _ in taken])
        for entry, queue in taken:
            assert isinstance(queue, LaneQueue)
            row = rows.get(entry.id)
            self._turns.hold(Held(entry, queue, row, alone=row is not None and row.deaths >= ALONE_AFTER_DEATHS))

    def _may_begin(self, held: Held, group: list[Held]) -> bool:
        """Whether what runs, and the group that is to begin, allow it.

        A job that has to be alone is, and a model's jobs run among themselves. An entry that comes twice waits for the first.
        """
        if (self._flights or group) and (held.alone or self._somebody_is_alone() or any(one.alone for one in group)):
            return False
        # One without a row is only to be thrown away.
        model = held.job.model if held.job is not None else None
        return (model is None or self._pipeline.accepts(model)) and not any(
            one.entry.id == held.entry.id or (one.job is not None and model not in (None, one.job.model))
            for one in group
        )

    def _lanes_with_room(self) -> tuple[list[Queue], int]:
        """When the batch is full of bulk work there is still room for those whom somebody waits for."""
        if (room := self._pipeline.room()) >= FEW:
            return list(self.queues), room
        return [queue for queue in self.queues if queue.name == Lane.INTERACTIVE], self._pipeline.room(urgent=True)

    def _take(self, group: list[Held]) -> None:
        """Claim jobs and begin them."""
        rows = {held.entry.id: held.job for held in group}
        if stale := [held.entry.id for held in group if not held.is_fresh]:
            rows |= dict.fromkeys(stale) | self._store.glance(stale)
        wanted = [held for held in group if self._is_wanted(held, rows[held.entry.id])]
        if not wanted:
            return
        leases = self._open(wanted)
        for held in wanted:
            self._turns.release(held)
        claimed = self._store.claim_all([lease.entry.id for lease in leases], self.name)
        self._landed += [Landing(lease) for lease in leases if lease.entry.id not in claimed]
        flights = [
            Flight(lease.entry, lease.queue, lease.execution, claimed[lease.entry.id])
            for lease in leases
            if lease.entry.id in claimed
        ]
        # All of them before the first begins: heartbeats keep them while a model is loaded for it.
        self._flights.update({flight.job.id: flight for flight in flights})
        for flight in flights:
            self._begin(flight)

    def _is_wanted(self, held: Held, row: Glance | None) -> bool:
        """Whether to claim it. An entry whose row is not queued (any more), or that is not ours, is thrown away."""
        entry, queue = held.entry, held.queue
        running = entry.id in self._flights
        if row is not None and row.status == JobStatus.QUEUED and not running:
            try:
                entry.check()
            except CaptionqError as error:
                self._store.fail(entry.id, error)
            else:
                return True
        drop(self.connection, queue, entry.id, keep=running)
        self._turns.release(held)
        return False

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

        def fetched(here: int, total: int) -> None:
            self._teller.tell(job_id, "loading", model=model, bytes=here, total_bytes=total)

        with self._beating():
            self._pipeline.load(model, fetched)
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
            if job.output is not None and not deliver(job, result.text, self._store, self.name):
                return None
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

    def _report_landed(self) -> None:
        """Tell rq what has ended: of several at a time while others run, for it costs the model's time."""
        if self._landed and (not self._flights or self._is_due("report", REPORT_EVERY)):
            landings = list(self._landed)
            self._report(landings)
            del self._landed[: len(landings)]

    def _put_back(self) -> None:
        """What has not ended goes back to the front of its lane: the grace is over, or something broke.

        If that was neither the broker nor the store, one of these jobs may be why, and would break the next worker as well.
        So their rows keep saying that they run: `recover` will count a death for each, and queue them.
        """
        blameless = self.crash is None or isinstance(self.crash, (RedisError, OperationalError)) or is_away(self.crash)
        self._pipeline.clear()
        if blameless:
            self._release()
        try:
            if self._landed:
                self._report(self._landed)
                self._landed.clear()
            for flight in self._flights.values():
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(flight.entry, pipeline=pipeline, execution=flight.execution)
                    if blameless:
                        # Private, pinned: see tests/worker/test_contracts.py.
                        flight.queue._enqueue_job(flight.entry, pipeline=pipeline, at_front=True)  # noqa: SLF001
                    else:
                        pipeline.delete(flight.entry.key)
                    pipeline.execute()
            self.set_state(WorkerStatus.IDLE)
        except AWAY as error:
            logger.warning("The broker is away (%s); the next worker puts %d jobs back.", error, len(self._flights))
        # Those that were held have never been claimed: their ids are in the intermediate list, and `recover` puts them back.
        self._flights.clear()
        self._turns.clear()

    def _release(self) -> None:
        try:
            for job_id in self._flights:
                self._store.release(job_id)
        except DBAPIError as error:
            logger.warning("The database is away (%s); the next worker queues these jobs again.", type(error).__name__)

    def _drop_cancelled(self) -> None:
        while self._stops:
            self._store.cancel([self._stops.popleft()])
        for job_id in self._store.not_running(list(self._flights)):
            self._pipeline.cancel(job_id)
            self._landed.append(Landing(self._flights.pop(job_id)))
