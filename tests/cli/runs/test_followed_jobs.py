"""Jobs that a run follows: each is reported once, wherever it ends, and none is asked a second time."""

from __future__ import annotations

import pytest

from cli.runs import followed_jobs
from cli.runs.followed_jobs import Followed
from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import RESULT, add_batch


@pytest.fixture
def runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> RunLocks:
    """Live runs, checked at every call."""
    monkeypatch.setattr(followed_jobs, "LIVENESS_CHECK_EVERY", 0.0)
    return RunLocks(settings)


def succeed(store: Store, job: Job) -> None:
    """Let a job succeed."""
    store.claim([job.id], "worker")
    store.succeed(job.id, RESULT)


def follow(jobs: list[Job], own: Batch, store: Store, runs: RunLocks) -> Followed:
    """Follow these jobs."""
    return Followed(list(store.writers([job.output or "" for job in jobs]).values()), own, store, runs)


def ids(jobs: list[Job]) -> list[str]:
    """Return the jobs' ids."""
    return [job.id for job in jobs]


def test_a_job_that_ends_in_its_own_run_is_reported_once(store: Store, runs: RunLocks) -> None:
    """A job that ends between the decision to follow and the first read is reported too; other jobs of that run are not."""
    _, jobs = add_batch(store, 5)
    own = add_batch(store, 0)[0]
    succeed(store, jobs[0])
    writers = list(store.writers([job.output or "" for job in jobs[1:4]]).values())
    succeed(store, jobs[1])
    following = Followed(writers, own, store, runs)
    assert ids(following.ended()) == [jobs[1].id]
    succeed(store, jobs[4])
    succeed(store, jobs[3])
    assert ids(following.ended()) == [jobs[3].id]
    assert following
    succeed(store, jobs[2])
    assert ids(following.ended()) == [jobs[2].id]
    assert not following


def test_open_jobs_of_a_dead_run_are_taken_over_and_ended_ones_are_not(store: Store, runs: RunLocks) -> None:
    """Jobs that were taken over end in the run's own batch, and are reported there."""
    leader, own = Batch(description="leader", model="demo"), add_batch(store, 0)[0]
    with runs.hold(leader):
        jobs = leader_jobs(store, leader)
        following = follow(jobs, own, store, runs)
        following.take_over()
        assert {store.job(job.id).batch_id for job in jobs} == {leader.id}
    succeed(store, jobs[0])
    following.take_over()
    assert ids(following.ended()) == [jobs[0].id]
    assert not following
    assert [store.job(job.id).batch_id for job in jobs] == [leader.id, own.id, own.id]


def test_of_two_followers_the_slower_one_follows_the_faster_one(store: Store, runs: RunLocks) -> None:
    """The slower one reports jobs that end there, before and after its check."""
    leader, jobs = add_batch(store, 3)
    faster, own = Batch(description="faster", model="demo"), add_batch(store, 0)[0]
    following = follow(jobs, own, store, runs)
    with runs.hold(faster):
        store.add_batch(faster)
        store.adopt(ids(jobs), faster.id, {leader.id})
        succeed(store, jobs[0])
        following.take_over()
        assert ids(following.ended()) == [jobs[0].id]
        succeed(store, jobs[1])
        following.take_over()
        assert ids(following.ended()) == [jobs[1].id]
    following.take_over()
    assert not following
    assert store.job(jobs[2].id).batch_id == own.id


def leader_jobs(store: Store, leader: Batch) -> list[Job]:
    """Add three jobs to a batch that is held."""
    batch, jobs = add_batch(store, 3)
    store.add_batch(leader)
    store.adopt(ids(jobs), leader.id, {batch.id})
    return jobs
