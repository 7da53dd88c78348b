"""One schedule's state: the world, the model beside it, and the checks after each event and at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from jobs.errors import EngineError, ImageError
from jobs.queue import lanes
from jobs.queue.pausing import resume
from jobs.store.queries.token_totals import TokenTotals, add_tokens
from jobs.store.result import Result
from jobs.store.tables import ENDED, Batch, Job, JobStatus, Lane
from tests.faults.simulation.job_model import JobModel, ModelJob
from tests.faults.simulation.simulated_worker import SimulatedWorker
from tests.faults.simulation.world import World
from tests.support.rows import RESULT

WORKERS = ("one", "two")
#: Rounds in which everything ends once the faults have stopped.
ROUNDS = 60
#: The job of entries that were forged.
FORGED = "job_forged"
Item = TypeVar("Item")


class Simulation:
    """The real store, queue and workers of one schedule."""

    def __init__(self, world: World) -> None:
        world.begin_again()
        self.world, self.settings, self.connection = world, world.settings, world.connection
        self.store, self.hooks = world.store, world.hooks
        self.model = JobModel(self.settings.max_attempts)
        self.workers: dict[str, SimulatedWorker] = {}
        #: The names of all workers that ever lived.
        self._started: set[str] = set()
        #: Rows as they were when their jobs ended.
        self.ended: dict[str, tuple[Any, ...]] = {}
        self.batches: list[str] = []
        #: The jobs of each webhook that has not been sent.
        self.undelivered: dict[str, list[str]] = {}
        self._totals: dict[str, TokenTotals] = {}
        #: Number of jobs of each batch that had ended at the last check.
        self._ends: dict[str, int] = {}

    @property
    def runs_jobs(self) -> bool:
        return any(worker.pipeline.running for worker in self.workers.values())

    # -- what holds -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert that each row has the state, attempt, deaths and answer of the model, and that no ended row has changed."""
        names, rows = self.world.read("SELECT * FROM job")
        place = {name: number for number, name in enumerate(names)}
        key, status, batch, lane = (place[name] for name in ("id", "status", "batch_id", "lane"))
        known = [place[name] for name in ("status", "attempts", "deaths", "text")]
        assert {row[key] for row in rows} == self.model.jobs.keys()
        for row in rows:
            state = tuple(row[column] for column in known)
            if row[status] != JobStatus.SUCCEEDED:
                state = (*state[:3], None)
            assert state == self.model.jobs[row[key]].state, row[key]
            if row[status] in ENDED:
                assert self.ended.setdefault(row[key], row) == row
        _, kept = self.world.read("SELECT batch_id, status, lane, number FROM job_count WHERE number <> 0")
        counts = Counter((row[batch] or "", row[status], row[lane]) for row in rows)
        assert {tuple(count[:3]): count[3] for count in kept} == counts
        ends: dict[str, list[int]] = {batch_id: [] for batch_id in self.batches}
        for row in rows:
            if row[status] in ENDED:
                ends[row[batch]].append(row[place["finished_order"]] or 0)
        for batch_id, orders in ends.items():
            self._check_ends(batch_id, orders)

    def _check_ends(self, batch_id: str, orders: list[int]) -> None:
        """Assert that the ends of a batch are numbered, and that each usage is counted once."""
        if len(orders) == self._ends.get(batch_id, 0):
            # No row of it has ended since, and `check` has compared those that had.
            return
        assert sorted(orders) == list(range(1, len(orders) + 1))
        self._ends[batch_id] = len(orders)
        totals = self._totals.get(batch_id, TokenTotals())
        self._totals[batch_id] = add_tokens(self.store.engine, batch_id, totals)
        assert self._totals[batch_id].completion == self.model.tokens[batch_id]

    def come_to_rest(self) -> None:
        """Stop the faults, and assert that everything ends, exactly once, and that the broker knows of nothing any more."""
        for batch_id in self.model.paused:
            resume(batch_id, store=self.store, connection=self.connection)
        self.model.paused.clear()
        # Those that died come back: a worker's jobs are taken back at its start.
        for name in sorted(self._started) or WORKERS[:1]:
            self.worker(name)
        for number in range(ROUNDS):
            if not any(job.is_open for job in self.model.jobs.values()):
                break
            for worker in self.workers.values():
                for job_id in list(worker.pipeline.running):
                    self.end(worker, job_id, "answer")
                self.turn(worker, looks=True)
            if not self.runs_jobs and any(job.is_open for job in self.model.jobs.values()):
                # What is left waits for its time, or has no entry.
                self.pass_time(cleans=number % 2 == 1)
        self.check()
        open_or_doubled = [job for job in self.model.jobs.values() if job.is_open or job.ends != 1]
        assert open_or_doubled == []
        assert self.due() == sorted(self.undelivered)
        for _ in range(ROUNDS):
            for worker in self.workers.values():
                self.turn(worker, looks=True)
            left = {job_id for queue in lanes.lanes(self.connection) for job_id in queue.ids()}
            if left <= {FORGED}:
                return
            # Entries that were put off, before they lost their jobs to others, are dropped when their time comes.
            self.pass_time(cleans=True)
        assert left <= {FORGED}, "entries of jobs that have ended"

    # -- steps ----------------------------------------------------------------------------------------

    def pass_time(self, *, cleans: bool) -> None:
        """Let a long time pass while the workers live, and let them do their maintenance. `cleans`: also rq's."""
        self.world.pass_time()
        for worker in self.workers.values():
            worker.beat()
            worker.maintain(cleans=cleans)

    def due(self) -> list[str]:
        """Return the webhooks that are due, and assert that all their jobs have ended, and that no other's have."""
        due = sorted(one for one, _ in self.hooks.due(now=2e10))
        assert due == sorted(hook for hook, ids in self.undelivered.items() if not self.has_open(ids))
        return due

    def acknowledge(self, batch: Batch, jobs: list[Job]) -> None:
        """Note that a client was told of these jobs."""
        self.batches.append(batch.id)
        for job in jobs:
            self.model.add(job.id, Lane(job.lane), batch.id)

    def worker(self, name: str) -> SimulatedWorker:
        """Return the live worker of this name. A dead one is started again, and takes its jobs back."""
        if name not in self.workers:
            self._started.add(name)
            self.workers[name] = SimulatedWorker(name, self.store, self.connection, self.settings)
            self.model.worker_ended(name, died=True)
        return self.workers[name]

    def turn(self, worker: SimulatedWorker, *, looks: bool = False) -> None:
        """Make a round of a worker's loop, and tell the model which jobs began. `looks`: the worker looks at its claims first."""
        if looks:
            worker.look()
        before = set(worker.pipeline.running)
        worker.turn()
        for job_id in worker.pipeline.running:
            if job_id not in before:
                self.model.claim(job_id, worker.name)

    def end(self, worker: SimulatedWorker, job_id: str, end: str) -> None:
        """Let a job end in the worker's next step, and tell the model if the worker still has the job."""
        attempt = worker.attempt(job_id)
        counts = self.model.may_end(job_id, worker.name, attempt)
        answer = f"{job_id}, attempt {attempt} on {worker.name}"
        if end == "answer":
            worker.pipeline.end(job_id, result=Result(**{**RESULT.__dict__, "text": answer}))
            if counts:
                self.model.succeed(job_id, answer, RESULT.completion_tokens)
            return
        error = EngineError() if end == "transient" else ImageError("This is not a picture.")
        worker.pipeline.end(job_id, error=error)
        if counts:
            self.model.fail(job_id, transient=error.transient)

    def running(self, which: int) -> tuple[SimulatedWorker, str]:
        running = [(worker, key) for worker in self.workers.values() for key in worker.pipeline.running]
        return running[which % len(running)]

    def chosen(self, which: int) -> ModelJob | None:
        return pick(list(self.model.jobs.values()), which)

    def has_open(self, ids: list[str]) -> bool:
        return any(self.model.jobs[job_id].is_open for job_id in ids)


def pick(items: Sequence[Item], which: int) -> Item | None:
    return items[which % len(items)] if items else None
