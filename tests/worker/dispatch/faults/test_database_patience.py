"""A database that is locked, full or on a failing disk while the worker runs: no job is lost, charged or generated twice."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy.engine.default import DefaultDialect

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseReplacedError
from jobs.queue.feeding import feed
from jobs.queue.workers.orderly_end import ended_in_order
from jobs.requests import path_of
from jobs.store.recovery import busy_workers
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from tests.worker.dispatch.faults.conftest import QueueTexts
from tests.worker.dispatch.test_metal_worker import assert_nothing_is_left
from worker import service
from worker.dispatch.metal_worker import MetalWorker
from worker.lock import worker_lock
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

pytestmark = pytest.mark.timeout(300)

#: Operations that fail in a row; and those between the first ones of two runs: 1 tries every one (`make fault-sweep`).
AT_A_TIME = 2
STEP = int(os.environ.get("CAPTIONQ_TEST_FAULT_STEP", "6"))

_FAULTS = {
    sqlite3.SQLITE_IOERR_WRITE: "disk I/O error",
    sqlite3.SQLITE_FULL: "database or disk is full",
    sqlite3.SQLITE_BUSY: "database is locked",
}


def driver_error(code: int) -> sqlite3.OperationalError:
    """Make the error that the driver raises for a code of SQLite."""
    error = sqlite3.OperationalError(_FAULTS[code])
    error.sqlite_errorcode = code
    return error


@contextmanager
def failing(fails: Callable[[int], bool], code: int) -> Iterator[list[int]]:
    """Let statements and commits of this thread fail by their number, from 1. Yields the numbers of those that failed."""
    me, done, failed = threading.current_thread(), [0], list[int]()

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is me:
                done[0] += 1
                if fails(done[0]):
                    failed.append(done[0])
                    raise driver_error(code)
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("do_execute", "do_commit"):
            patch.setattr(DefaultDialect, name, watched(getattr(DefaultDialect, name)))
        yield failed


def assert_done(store: Store, jobs: list[Job], connection: Redis) -> None:
    """Assert that each job succeeded, without a death, and that its text is there."""
    rows = store.those([job.id for job in jobs])
    assert {(row.status, row.deaths) for row in rows} == {(JobStatus.SUCCEEDED, 0)}
    assert [path_of(row.output or "").read_text() for row in rows] == [f"{row.text}\n" for row in rows]
    assert_nothing_is_left(connection)


@pytest.mark.parametrize("code", _FAULTS)
def test_a_fault_that_recurs_costs_no_job_an_attempt(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path, code: int
) -> None:
    """One in fifteen statements and commits of the worker fails, from its start to its end."""
    jobs = queue_texts(tmp_path / "pictures", 12)
    dice = random.Random(code)
    with failing(lambda _: dice.random() < 1 / 15, code) as failed:
        service.run(stub, burst=True)
    assert len(failed) > 2
    # A burst may end before the lanes follow the rows again, which a worker sees to every ten seconds.
    service.run(stub, burst=True)
    assert_done(store, jobs, connection)
    assert {job.attempts for job in store.those([job.id for job in jobs])} == {1}


def test_the_nth_operation_fails_for_every_n(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """Some statements and commits in a row fail, further and further back, until a run has no such operation left."""
    n = 1
    while True:
        jobs = queue_texts(tmp_path / f"pictures {n}", 2)
        failing_ones = range(n, n + AT_A_TIME)
        with failing(failing_ones.__contains__, sqlite3.SQLITE_FULL) as failed:
            service.run(stub, burst=True)
        assert_done(store, jobs, connection)
        if not failed:
            break
        n += STEP
    assert n > 20


def test_a_lock_of_another_program_is_one_sentence_and_costs_nothing(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lock comes while jobs run, and lasts for many tries: answers wait in memory, and nothing is generated twice."""
    jobs = queue_texts(tmp_path / "pictures", 40)
    step, generated = StubPipeline.step, list[str]()
    other = sqlite3.connect(stub.data_dir / "captionq.db", isolation_level=None, check_same_thread=False)

    def step_and_lock(pipeline: StubPipeline) -> Any:
        outcomes = step(pipeline)
        if not generated:
            other.execute("BEGIN EXCLUSIVE")
            threading.Timer(1.5, other.rollback).start()
        generated.extend(outcome.key for outcome in outcomes)
        return outcomes

    monkeypatch.setattr(StubPipeline, "step", step_and_lock)
    with caplog.at_level(logging.INFO, "captionq.worker"), closing(other):
        service.run(stub, burst=True)
    assert_done(store, jobs, connection)
    assert sorted(generated) == sorted(job.id for job in jobs)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [sentence.split(" the database ")[0] for sentence in said] == ["Another program has locked"]
    assert sum("answers again" in record.getMessage() for record in caplog.records) == 1


def test_a_worker_that_ends_during_a_fault_charges_nobody(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """It could not give its jobs back, and says in the lock file that it ended by itself: the next one runs them."""
    jobs = queue_texts(tmp_path / "pictures", 4)
    with worker_lock(stub) as lock:
        store.claim([job.id for job in jobs], worker_name(stub))
        lock.died = False
    connection.flushall()
    service.run(stub, burst=True)
    assert_done(store, jobs, connection)


def test_a_worker_that_cannot_release_its_jobs_says_that_it_ended_in_order(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers on other machines, which see no lock file, take its jobs back and charge nobody. Its own next start forgets it."""
    queue_texts(tmp_path / "pictures", 4)
    step, away = StubPipeline.step, threading.Event()

    def step_and_stop(pipeline: StubPipeline) -> Any:
        outcomes = step(pipeline)
        if not away.is_set():
            away.set()
            os.kill(os.getpid(), signal.SIGTERM)
        return outcomes

    name = worker_name(stub)
    with monkeypatch.context() as patch, failing(lambda _: away.is_set(), sqlite3.SQLITE_BUSY):
        patch.setattr(StubPipeline, "step", step_and_stop)
        service.run(stub.model_copy(update={"grace": 0.1}))
    assert busy_workers(store.engine) == {name}
    assert ended_in_order(connection, name)
    service.run(stub, burst=True)
    assert not ended_in_order(connection, name)
    assert {(row.status, row.deaths) for row in store.jobs()} == {(JobStatus.SUCCEEDED, 0)}


def test_a_worker_that_was_killed_charges_its_jobs_also_after_a_start_that_failed(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """A worker that ended before it took the jobs back leaves the question of their guilt open."""
    jobs = queue_texts(tmp_path / "pictures", 2)
    store.claim([job.id for job in jobs], worker_name(stub))
    for _ in range(2):
        with worker_lock(stub) as lock:
            assert lock.died
    connection.flushall()
    service.run(stub, burst=True)
    assert [job.deaths for job in store.those([job.id for job in jobs])] == [1, 1]


def test_a_database_that_is_replaced_ends_the_worker_with_a_sentence(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That fault does not pass: the worker must not wait for it."""
    queue_texts(tmp_path / "pictures", 2)
    step = MetalWorker._step

    def step_and_replace(worker: MetalWorker) -> None:
        file = stub.data_dir / "captionq.db"
        if file.exists():
            file.rename(file.with_name("aside.db"))
        step(worker)

    monkeypatch.setattr(MetalWorker, "_step", step_and_replace)
    with pytest.raises(DatabaseReplacedError, match="was deleted or replaced"):
        service.run(stub, burst=True)


def test_rows_of_a_claim_whose_answer_was_lost_are_queued_again(
    stub: Settings,
    store: Store,
    connection: Redis,
    queue_texts: QueueTexts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commit has happened, and the worker heard of a fault: without a lease nobody would run these jobs."""
    jobs = queue_texts(tmp_path / "pictures", 3)
    claim, lost = Store.claim, [0]

    def claim_and_lose(self: Store, ids: list[str], worker: str) -> dict[str, Job]:
        claimed = claim(self, ids, worker)
        lost[0] += 1
        if lost[0] == 1:
            raise driver_error(sqlite3.SQLITE_IOERR_WRITE)
        return claimed

    monkeypatch.setattr(Store, "claim", claim_and_lose)
    extra = queue_texts(tmp_path / "more", 3)
    service.run(stub, burst=True)
    feed(store, connection)
    service.run(stub, burst=True)
    assert_done(store, [*jobs, *extra], connection)
