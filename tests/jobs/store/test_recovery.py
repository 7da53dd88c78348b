"""Recovery of jobs whose worker died."""

from __future__ import annotations

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
