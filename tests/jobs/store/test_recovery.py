"""Recovery of jobs whose worker died."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection, Engine

from jobs.store import recovery
from jobs.store.connection import writing
from jobs.store.poison_limits import MAX_DEATHS
from jobs.store.store import Store
from tests.support.rows import RESULT, make_job


def test_recovery_takes_back_only_the_dead_workers_jobs(store: Store) -> None:
    """Another worker's jobs and ended jobs are not touched."""
    mine, theirs, ended = make_job("1"), make_job("2"), make_job("3")
    store.add([mine, theirs, ended])
    store.claim([mine.id], "worker")
    store.claim([theirs.id], "other")
    store.claim([ended.id], "worker")
    assert store.succeed(ended.id, RESULT)
    assert store.recover("worker").requeued == [mine.id]
    assert [store.job(job.id).status for job in (mine, theirs, ended)] == ["queued", "running", "succeeded"]


def test_a_job_that_kills_its_worker_again_and_again_is_given_up(store: Store) -> None:
    """At the third death the job fails as poison."""
    job = make_job()
    store.add([job])
    for _ in range(MAX_DEATHS - 1):
        store.claim([job.id], "worker")
        assert store.recover("worker").requeued == [job.id]
    store.claim([job.id], "worker")
    assert store.recover("worker").poisoned == [job.id]
    assert (store.job(job.id).status, store.job(job.id).error_code) == ("failed", "poison")


def test_recovery_leaves_a_job_that_was_claimed_again_after_the_look(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was taken for dead, and wakes up between recovery's look and its change."""
    jobs = [make_job("1"), make_job("2")]
    store.add(jobs)
    ids = [job.id for job in jobs]
    store.claim(ids, "worker")

    def wake_up(engine: Engine) -> AbstractContextManager[Connection]:
        monkeypatch.setattr(recovery, "writing", writing)
        store.release(jobs[0].id)
        store.claim([jobs[0].id], "worker")
        return writing(engine)

    monkeypatch.setattr(recovery, "writing", wake_up)
    assert store.recover("worker").requeued == [jobs[1].id]
    assert [(store.job(one).status, store.job(one).attempts) for one in ids] == [("running", 2), ("queued", 1)]


def test_recovery_comes_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other writers get their turn between two."""
    monkeypatch.setattr(recovery, "ROWS_A_STATEMENT", 2)
    jobs = [make_job(str(number)) for number in range(5)]
    store.add(jobs)
    store.claim([job.id for job in jobs], "worker")
    assert sorted(store.recover("worker").requeued) == sorted(job.id for job in jobs)
    assert recovery.busy_workers(store.engine) == set()


def test_two_processes_that_recover_at_once_count_one_death(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen the lost worker's jobs before either changes them."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    others: list[list[str]] = []

    def at_once(engine: Engine) -> AbstractContextManager[Connection]:
        monkeypatch.setattr(recovery, "writing", writing)
        others.append(store.recover("worker").requeued)
        store.claim([job.id], "next")
        return writing(engine)

    monkeypatch.setattr(recovery, "writing", at_once)
    assert (store.recover("worker").requeued, others) == ([], [[job.id]])
    row = store.job(job.id)
    assert (row.status, row.worker, row.attempts, row.deaths) == ("running", "next", 2, 1)
