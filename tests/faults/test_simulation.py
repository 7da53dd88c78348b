"""Thousands of schedules of clients, workers, deaths and losses over the real store, queue and worker, beside a plain model.

Only the engine is in memory, and the schedule moves the time. After each event every row is as the model says; when the faults
stop, every acknowledged job ends, exactly once. `make sweep` runs many schedules, on Postgres too.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from sqlalchemy import Table, func, select, text, update
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel, cancel_run
from jobs.creation.create import Creation, create
from jobs.creation.retry import resubmit
from jobs.errors import EngineError, ImageError
from jobs.queue import broker, feeding, lanes
from jobs.queue.pausing import pause, resume
from jobs.queue.reconcile import reconcile
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.connection import reading, writing
from jobs.store.queries.token_totals import TokenTotals, add_tokens
from jobs.store.result import Result
from jobs.store.retention.pruning import prune
from jobs.store.store import Store
from jobs.store.tables import ENDED, Batch, BatchKind, Job, JobStatus, Lane
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from tests.faults.job_model import JobModel, ModelJob
from tests.faults.seeds import LONG, SCHEDULES
from tests.faults.simulated_worker import SimulatedWorker
from tests.support.postgres import Postgres
from tests.support.rows import RESULT

pytestmark = pytest.mark.timeout(300 + 30 * SCHEDULES)

_job: Table = SQLModel.metadata.tables["job"]

WORKERS = ("one", "two")
#: More than any lease, backoff or maximum age of a row without an entry: seconds.
LONG_TIME = 1000.0
#: Rounds in which everything ends once the faults have stopped.
ROUNDS = 60
Item = TypeVar("Item")
#: A job, worker or batch of the schedule: the chosen one of those there are.
WHICH = st.integers(0, 11)


class World:
    """What all schedules share: a broker, and a database for each schedule."""

    def __init__(self, connection: Redis, folder: Path, migrated: Path, server: Postgres | None) -> None:
        self.connection = connection
        self._folder, self._migrated, self._server = folder, migrated, server
        self._made = 0

    def settings(self) -> Settings:
        """Return the settings of an empty data folder with an empty database."""
        self._made += 1
        data = self._folder / str(self._made)
        url = None if self._server is None else self._server.create_database(data.name, "migrated")
        settings = Settings(data_dir=data, model="demo", database_url=url, slots=6)
        settings.make_folders()
        shutil.copyfile(self._migrated, data / "captionq.db")
        return settings


class Simulation(RuleBasedStateMachine):
    """One schedule."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.settings = self.world.settings()
        self.connection = self.world.connection
        self.connection.flushall()
        self.store = Store(self.settings)
        self.hooks = WebhookStore(self.store.engine)
        self.model = JobModel(self.settings.max_attempts)
        self.workers: dict[str, SimulatedWorker] = {}
        #: Rows as they were when their jobs ended.
        self.ended: dict[str, dict[str, Any]] = {}
        self.batches: list[str] = []
        self.undelivered: dict[str, list[str]] = {}
        self.totals: dict[str, TokenTotals] = {}
        self.is_sound = False

    # -- clients --------------------------------------------------------------------------------------

    @initialize(count=st.integers(1, 5), lane=st.sampled_from(Lane))
    def begin(self, count: int, lane: Lane) -> None:
        """Begin with some requests."""
        self.submit(count, lane, is_killed=False, notifies=True)

    @rule(count=st.integers(1, 5), lane=st.sampled_from(Lane), is_killed=st.booleans(), notifies=st.booleans())
    def submit(self, count: int, lane: Lane, is_killed: bool, notifies: bool) -> None:
        """A client sends requests. Killed after the commit, the API brings no entry on its way."""
        batch = Batch(description="a list", kind=BatchKind.LIST, model="demo")
        jobs = [_request_job(f"{batch.id} {number}", lane, batch) for number in range(count)]
        hooks = [Webhook(url="https://a.example/hook", batch_id=batch.id)] if notifies else []
        if is_killed:
            self.store.add_batch(batch)
            self.store.add(jobs)
            self.hooks.add(hooks)
        else:
            create(Creation(jobs, batch, hooks), store=self.store, connection=self.connection, settings=self.settings)
        self._acknowledge(batch, jobs)
        self.undelivered |= {hook.id: [job.id for job in jobs] for hook in hooks}

    @precondition(lambda self: self.model.jobs)
    @rule(which=WHICH)
    def cancel_one(self, which: int) -> None:
        """A client cancels a job, perhaps one that has ended."""
        if job := self._chosen(which):
            was_open = job.is_open
            cancelled = cancel([job.id], store=self.store, connection=self.connection)
            assert cancelled == [job.id] * was_open
            self.model.cancel([job])

    @precondition(lambda self: self.batches)
    @rule(which=WHICH)
    def cancel_batch(self, which: int) -> None:
        """A client cancels a run."""
        if batch_id := _pick(self.batches, which):
            jobs = self.model.of_batch(batch_id)
            count = sum(job.is_open for job in jobs)
            assert cancel_run(batch_id, store=self.store, connection=self.connection) == count
            self.model.cancel(jobs)

    @precondition(lambda self: self.batches)
    @rule(which=WHICH)
    def retry_batch(self, which: int) -> None:
        """A person asks the jobs of a run again that failed or were cancelled: these are new jobs."""
        if batch_id := _pick(self.batches, which):
            lost = [
                job
                for job in self.store.jobs(batch_id=batch_id)
                if job.status in (JobStatus.FAILED, JobStatus.CANCELLED)
            ]
            again = Batch(description="again", kind=BatchKind.RUN, model="demo")
            resubmit(again, lost, store=self.store, connection=self.connection)
            self._acknowledge(again, self.store.jobs(batch_id=again.id))

    @rule(count=st.integers(1, 4), lane=st.sampled_from(Lane), name=st.sampled_from(WORKERS))
    def pause_and_work(self, count: int, lane: Lane, name: str) -> None:
        """A run is paused whose entries wait in a lane, and a worker looks there."""
        self.submit(count, lane, is_killed=False, notifies=False)
        self.pause_or_resume(len(self.batches) - 1)
        self._turn(self._worker(name))

    @precondition(lambda self: self.batches)
    @rule(which=WHICH)
    def pause_or_resume(self, which: int) -> None:
        """A person pauses a run, or lets it go on."""
        batch_id = _pick(self.batches, which)
        if batch_id in self.model.paused:
            resume(batch_id, store=self.store, connection=self.connection)
            self.model.paused.remove(batch_id)
        elif batch_id and any(job.is_open for job in self.model.of_batch(batch_id)):
            pause(batch_id, store=self.store, connection=self.connection)
            self.model.paused.add(batch_id)

    @precondition(lambda self: self.batches)
    @rule()
    def prune(self) -> None:
        """A person removes all that has ended and has nothing to report."""
        reporting = {job_id for ids in self.undelivered.values() for job_id in ids}
        old = [
            batch_id
            for batch_id in self.batches
            if not any(job.is_open or job.id in reporting for job in self.model.of_batch(batch_id))
        ]
        gone = [job.id for batch_id in old for job in self.model.of_batch(batch_id)]
        pruned = prune(self.store.engine, before=2e10)
        assert (pruned.jobs, pruned.batches) == (len(gone), len(old))
        for job_id in gone:
            del self.model.jobs[job_id]
            self.ended.pop(job_id, None)
        self.batches = [batch_id for batch_id in self.batches if batch_id not in old]
        self.model.paused -= set(old)

    @precondition(lambda self: any(not self._has_open(ids) for ids in self.undelivered.values()))
    @rule()
    def deliver(self) -> None:
        """The API sends the webhooks that are due: those whose jobs have all ended, and no others."""
        due = [one for one, _ in self.hooks.due(now=2e10)]
        assert sorted(due) == sorted(hook for hook, ids in self.undelivered.items() if not self._has_open(ids))
        for hook_id in due:
            claimed = self.hooks.claim(hook_id, now=2e10)
            assert claimed is not None
            self.hooks.delivered(claimed)
            del self.undelivered[hook_id]

    # -- workers --------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(WORKERS), rounds=st.integers(1, 3))
    def work(self, name: str, rounds: int) -> None:
        """A worker makes rounds of its loop, and takes jobs. One that is dead is started again."""
        worker = self._worker(name)
        for _ in range(rounds):
            self._turn(worker)

    @precondition(lambda self: self._runs_jobs)
    @rule(which=WHICH, end=st.sampled_from(("answer", "answer", "transient", "permanent")))
    def end_job(self, which: int, end: str) -> None:
        """A job of a worker gets its answer, or an error."""
        worker, job_id = self._running(which)
        self._end(worker, job_id, end)
        self._turn(worker)

    @precondition(lambda self: self._runs_jobs)
    @rule(which=WHICH)
    def kill_after_the_commit(self, which: int) -> None:
        """A worker is killed when a job has its answer, before rq hears of the end."""
        worker, job_id = self._running(which)
        self._end(worker, job_id, "answer")
        worker.step()
        del self.workers[worker.name]

    @precondition(lambda self: self._runs_jobs)
    @rule(which=WHICH, end=st.sampled_from(("answer", "transient", "permanent")))
    def end_cancelled_job(self, which: int, end: str) -> None:
        """A job ends on its worker just after a client has cancelled it."""
        worker, job_id = self._running(which)
        cancel([job_id], store=self.store, connection=self.connection)
        self.model.cancel([self.model.jobs[job_id]])
        self._end(worker, job_id, end)
        worker.step()

    @precondition(lambda self: self.workers)
    @rule(name=st.sampled_from(WORKERS))
    def kill(self, name: str) -> None:
        """kill −9: all that it knew is gone, and its leases stay in Redis."""
        self.workers.pop(name, None)

    @precondition(lambda self: self._runs_jobs)
    @rule(which=WHICH, end=st.sampled_from(("answer", "transient", "permanent")), is_taken=st.booleans())
    def take_for_lost(self, which: int, end: str, is_taken: bool) -> None:
        """A worker that stood still is taken for lost. It goes on with jobs that are queued again, or run elsewhere by now."""
        worker, job_id = self._running(which)
        lost = LostWorkers(self.store, self.connection, self.settings.lease, own=lambda: None)
        lost._missing[worker.name] = 0.0
        lost._take_back(worker.name)
        self.model.worker_ended(worker.name, died=True)
        if is_taken:
            self._turn(self._worker(next(name for name in WORKERS if name != worker.name)))
        self._end(worker, job_id, end)
        worker.step()

    @precondition(lambda self: self.workers)
    @rule(name=st.sampled_from(WORKERS), by_error=st.booleans())
    def stop(self, name: str, by_error: bool) -> None:
        """A worker ends in good order, or by an error of its engine."""
        if worker := self.workers.pop(name, None):
            if by_error:
                worker.crash()
            else:
                worker.stop()
                self.model.worker_ended(name, died=False)

    @precondition(lambda self: self.workers)
    @rule(name=st.sampled_from(WORKERS))
    def maintain(self, name: str) -> None:
        """A worker does rq's maintenance."""
        if name in self.workers:
            self.workers[name].maintain()

    # -- losses ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.batches)
    @rule()
    def flush(self) -> None:
        """The broker loses everything, and the live workers' own records with it."""
        self.connection.flushall()

    @precondition(lambda self: self.batches)
    @rule(which=WHICH, lane=st.sampled_from(Lane), kind=st.sampled_from(("lose", "repeat", "lose its hash", "forge")))
    def damage_entry(self, which: int, lane: Lane, kind: str) -> None:
        """An entry is lost, comes twice, has no content, or names a job that there never was."""
        queue = lanes.lane_queue(self.connection, lane)
        entry = _pick(queue.get_job_ids(), which)
        if kind == "forge":
            lanes.push(self.connection, lane, ["job_forged"])
        elif entry and kind == "lose":
            self.connection.lrem(queue.key, 1, entry)
        elif entry and kind == "repeat":
            lanes.push(self.connection, lane, [entry])
        elif entry:
            self.connection.delete(lanes.Entry.key_for(entry))

    @precondition(lambda self: self.batches)
    @rule(beats=st.booleans())
    def time_passes(self, beats: bool) -> None:
        """Leases of dead workers run out, backoffs are over. Without beats the live workers stood still, as in a sleeping Mac."""
        for key in self.connection.scan_iter():
            if self.connection.ttl(key) > 0:
                self.connection.delete(key)
        for queue in lanes.lanes(self.connection):
            for registry in (queue.started_job_registry, queue.scheduled_job_registry):
                scores: Any = self.connection.zrange(registry.key, 0, -1, withscores=True)
                for member, score in scores:
                    self.connection.zadd(registry.key, {member: score - LONG_TIME})
        with writing(self.store.engine) as connection:
            aged = update(_job).where(_job.c.status == JobStatus.QUEUED)
            connection.execute(aged.values(created_at=_job.c.created_at - LONG_TIME))
        if beats:
            for worker in self.workers.values():
                worker.beat()

    # -- what holds -----------------------------------------------------------------------------------

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        """Every row has the state, attempt, deaths and answer of the model, and no ended row has changed."""
        self.is_sound = False
        rows = {job.id: job for job in self.store.jobs()}
        assert rows.keys() == self.model.jobs.keys()
        for job_id, row in rows.items():
            state = (row.status, row.attempts, row.deaths, row.text if row.status == JobStatus.SUCCEEDED else None)
            assert state == self.model.jobs[job_id].state, job_id
            if row.status in ENDED:
                assert self.ended.setdefault(job_id, row.model_dump()) == row.model_dump()
        self._check_counts(list(rows.values()))
        self.is_sound = True

    def _check_counts(self, rows: list[Job]) -> None:
        """Assert that counts kept by triggers are those of the rows, that ends are numbered, and that usage is counted once."""
        with reading(self.store.engine) as connection:
            kept = connection.execute(text("SELECT batch_id, status, lane, number FROM job_count WHERE number <> 0"))
            assert Counter({tuple(row[:3]): row[3] for row in kept}) == Counter(
                (row.batch_id or "", row.status, row.lane) for row in rows
            )
            assert connection.execute(select(func.count()).select_from(_job)).scalar_one() == len(rows)
        for batch_id in self.batches:
            ends = sorted(row.finished_order or 0 for row in rows if row.batch_id == batch_id and row.status in ENDED)
            assert ends == list(range(1, len(ends) + 1))
            self.totals[batch_id] = add_tokens(self.store.engine, batch_id, self.totals.get(batch_id, TokenTotals()))
            assert self.totals[batch_id].completion == self.model.tokens[batch_id]

    def teardown(self) -> None:
        """Stop the faults: everything ends within `ROUNDS`, exactly once, and the broker knows of nothing any more."""
        try:
            if self.is_sound:
                self._come_to_rest()
        finally:
            self.store.close()

    def _come_to_rest(self) -> None:
        for batch_id in self.model.paused:
            resume(batch_id, store=self.store, connection=self.connection)
        self.model.paused.clear()
        for name in WORKERS:
            self._worker(name)
        reconcile(self.store, self.connection)
        for _ in range(ROUNDS):
            if not any(job.is_open for job in self.model.jobs.values()):
                break
            for worker in self.workers.values():
                self._turn(worker)
                for job_id in list(worker.pipeline.running):
                    self._end(worker, job_id, "answer")
                self._turn(worker)
            self.time_passes(beats=True)
            for worker in self.workers.values():
                worker.maintain()
        self.rows_are_as_the_model_says()
        assert {
            job.id: (job.status, job.ends) for job in self.model.jobs.values() if job.is_open or job.ends != 1
        } == {}
        self.deliver()
        assert self.undelivered == {}
        for worker in self.workers.values():
            self._turn(worker)
            worker.maintain()
        for queue in lanes.lanes(self.connection):
            assert queue.ids() <= {"job_forged"}, "entries of jobs that have ended"

    @property
    def _runs_jobs(self) -> bool:
        return any(worker.pipeline.running for worker in self.workers.values())

    # -- steps ----------------------------------------------------------------------------------------

    def _acknowledge(self, batch: Batch, jobs: list[Job]) -> None:
        self.batches.append(batch.id)
        for job in jobs:
            self.model.add(job.id, Lane(job.lane), batch.id)

    def _worker(self, name: str) -> SimulatedWorker:
        """Return the live worker of this name. A dead one is started again, and takes its jobs back."""
        if name not in self.workers:
            self.workers[name] = SimulatedWorker(name, self.store, self.connection, self.settings)
            self.model.worker_ended(name, died=True)
        return self.workers[name]

    def _turn(self, worker: SimulatedWorker) -> None:
        """Make a round of a worker's loop, and tell the model which jobs began."""
        before = set(worker.pipeline.running)
        worker.turn()
        for job_id in worker.pipeline.running:
            if job_id not in before:
                self.model.claim(job_id, worker.name)

    def _end(self, worker: SimulatedWorker, job_id: str, end: str) -> None:
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

    def _running(self, which: int) -> tuple[SimulatedWorker, str]:
        running = [(worker, key) for worker in self.workers.values() for key in worker.pipeline.running]
        return running[which % len(running)]

    def _chosen(self, which: int) -> ModelJob | None:
        return _pick(list(self.model.jobs.values()), which)

    def _has_open(self, ids: list[str]) -> bool:
        return any(self.model.jobs[job_id].is_open for job_id in ids)


def _pick(items: Sequence[Item], which: int) -> Item | None:
    return items[which % len(items)] if items else None


def _request_job(asked: str, lane: Lane, batch: Batch) -> Job:
    request = Request(model="demo", messages=[Message(role="user", content=asked)], sampling=Sampling())
    return Job(lane=lane, batch_id=batch.id, model="demo", request=request.model_dump_json(), digest=request.digest)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A broker for all schedules."""
    running = broker.find_or_start(Settings(data_dir=tmp_path_factory.mktemp("simulation")))
    yield running.connection
    running.stop()


@pytest.mark.parametrize("on", ["sqlite", *(["postgres"] if LONG else [])])
def test_every_schedule_ends_each_job_once(
    on: str, server: Redis, tmp_path: Path, migrated_file: Path, request: pytest.FixtureRequest, monkeypatch: Any
) -> None:
    """Clients, two workers, their deaths, and losses of the broker, in any order."""
    # Windows of a few entries, so that a run does not fit into the lane.
    monkeypatch.setattr(feeding, "ENTRIES_A_WORKER", 3)
    monkeypatch.setattr(feeding, "ENTRIES_A_SLOT", 1)
    database = None
    if on == "postgres":
        request.getfixturevalue("migrated_database")
        database = request.getfixturevalue("postgres")
    Simulation.world = World(server, tmp_path, migrated_file, database)
    examples = hypothesis_settings(
        max_examples=SCHEDULES,
        stateful_step_count=60 if LONG else 30,
        derandomize=not LONG,
        # A failed schedule is shortened in the long run only: that takes minutes.
        phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
    )
    run_state_machine_as_test(Simulation, settings=examples)
