"""Workers whose host vanished: another process takes their jobs back, and those of no other worker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from redis import Redis

from jobs.queue.lanes import lanes, push, take
from jobs.queue.worker_state import WorkerState, live_workers, publish_state, withdraw_state
from jobs.queue.workers import lost_workers
from jobs.queue.workers.lost_workers import LostWorkers
from jobs.queue.workers.orderly_end import note_orderly_end
from jobs.store.poison_limits import MAX_DEATHS
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.postgres import both_databases
from tests.support.rows import add_batch
from worker.dispatch.queue_worker import QueueWorker

#: A lease in seconds, so short that a test can wait for its end.
LEASE = 0.06


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_workers, "LOOK_EVERY", 0.0)


def nobody() -> None:
    """Return no name: this process has no worker in its data folder."""


def live(connection: Redis, *names: str) -> None:
    """Register workers that live."""
    for name in names:
        QueueWorker(name, connection).register_birth()  # type: ignore[no-untyped-call]
        publish_state(connection, WorkerState(name, at=0.0), 60)


def look_for_a_lease(lost: LostWorkers) -> None:
    """Look again and again for twice the time after which a missing worker is lost, and often enough on a slow machine too."""
    end, looks = time.monotonic() + 3 * LEASE, 0
    while time.monotonic() < end or looks < 10:
        lost.look()
        looks += 1
        time.sleep(LEASE / 20)


def begin(store: Store, connection: Redis, jobs: list[Job], worker: str) -> None:
    """Let a worker take the entries of these jobs and claim their rows."""
    push(connection, Lane.BULK, [job.id for job in jobs])
    take(connection, lanes(connection, worker), len(jobs))
    store.claim([job.id for job in jobs], worker)


@both_databases
def test_the_jobs_of_a_lost_worker_go_back_and_those_of_others_stay(store: Store, connection: Redis) -> None:
    """Also ids that the lost worker had taken and not begun. A worker that lives keeps both, though another one looks."""
    _, jobs = add_batch(store, 6)
    live(connection, "lost", "alive", "looking")
    begin(store, connection, jobs[:2], "lost")
    begin(store, connection, jobs[2:4], "alive")
    for worker, job in (("lost", jobs[4]), ("alive", jobs[5])):
        push(connection, Lane.BULK, [job.id])
        take(connection, lanes(connection, worker), 1)
    lost = LostWorkers(store, connection, LEASE, own=lambda: "looking")
    look_for_a_lease(lost)
    assert [store.job(job.id).status for job in jobs[:4]] == [JobStatus.RUNNING] * 4
    withdraw_state(connection, "lost")
    look_for_a_lease(lost)
    rows = [store.job(job.id) for job in jobs]
    assert [row.status for row in rows[:4]] == [JobStatus.QUEUED] * 2 + [JobStatus.RUNNING] * 2
    assert [row.deaths for row in rows[:4]] == [1, 1, 0, 0]
    bulk = lanes(connection, "alive")[1]
    assert bulk.get_job_ids() == [jobs[0].id, jobs[1].id, jobs[4].id]
    assert bulk.taken_ids() == [jobs[2].id, jobs[3].id, jobs[5].id]
    assert [state.name for state in live_workers(connection)] == ["alive", "looking"]
    assert not connection.exists("rq:worker:lost")


def lose_all(connection: Redis) -> None:
    connection.flushall()


def lose_states(connection: Redis) -> None:
    withdraw_state(connection, "alive")


@pytest.mark.parametrize("lose", [lose_all, lose_states], ids=["the broker forgets", "no state for a moment"])
def test_a_worker_that_shows_itself_again_in_time_keeps_its_jobs(
    store: Store, connection: Redis, lose: Callable[[Redis], None]
) -> None:
    """Its state was gone because the broker lost its data, or the network was cut for a moment."""
    _, jobs = add_batch(store, 1)
    live(connection, "alive")
    begin(store, connection, jobs, "alive")
    lost = LostWorkers(store, connection, LEASE, own=nobody)
    look_for_a_lease(lost)
    lose(connection)
    lost.look()
    publish_state(connection, WorkerState("alive", at=0.0), 60)
    look_for_a_lease(lost)
    assert store.job(jobs[0].id).status == JobStatus.RUNNING


def test_a_process_that_was_just_started_trusts_every_worker_for_a_lease(store: Store, connection: Redis) -> None:
    """The broker may have been started with it, and the workers have yet to come back."""
    _, jobs = add_batch(store, 1)
    begin(store, connection, jobs, "elsewhere")
    lost = LostWorkers(store, connection, 60, own=nobody)
    lost._missing = {"elsewhere": float("-inf")}
    assert lost.look() == []
    assert store.job(jobs[0].id).status == JobStatus.RUNNING
    lost._trusted_from = float("-inf")
    assert [recovered.worker for recovered in lost.look()] == ["elsewhere"]


def test_a_job_whose_workers_are_lost_again_and_again_is_given_up(store: Store, connection: Redis) -> None:
    """It may be the cause: each of its workers may have died of it."""
    _, jobs = add_batch(store, 1)
    for number in range(MAX_DEATHS):
        begin(store, connection, jobs, f"host-{number}")
        look_for_a_lease(LostWorkers(store, connection, LEASE, own=nobody))
    row = store.job(jobs[0].id)
    assert (row.status, row.error_code, row.deaths) == (JobStatus.FAILED, "poison", MAX_DEATHS)


def test_looks_are_rare_while_all_workers_live(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look is due when the first sign of life ends, and soon once a worker is missing."""
    monkeypatch.setattr(lost_workers, "LOOK_EVERY", 1.0)
    live(connection, "one", "looking")
    lost = LostWorkers(store, connection, 1000.0, own=lambda: "looking")
    lost.look()
    assert not lost.looks_soon
    asked = connection.info("commandstats")["cmdstat_smembers"]["calls"]
    for _ in range(10):
        lost.look()
    assert connection.info("commandstats")["cmdstat_smembers"]["calls"] == asked
    # A sign of life that ends before a rare look would be due.
    publish_state(connection, WorkerState("one", at=0.0), 4)
    lost._look_at = 0.0
    lost.look()
    assert 1 < lost._look_at - time.monotonic() <= 4
    withdraw_state(connection, "one")
    lost._look_at = 0.0
    lost.look()
    assert lost.looks_soon


def test_a_worker_that_ended_in_order_charges_no_job(store: Store, connection: Redis) -> None:
    """It could not release its jobs. A later end of the same worker without a note is a death again."""
    _, jobs = add_batch(store, 1)
    lost = LostWorkers(store, connection, LEASE, own=nobody)
    look_for_a_lease(lost)
    for deaths in (0, 1):
        begin(store, connection, jobs, "lost")
        if deaths == 0:
            note_orderly_end(connection, "lost")
        look_for_a_lease(lost)
        row = store.job(jobs[0].id)
        assert (row.status, row.deaths) == (JobStatus.QUEUED, deaths)
