"""Runs that take turns at a real worker with the stub, on a real broker that may lose everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel_run
from jobs.queue.feeding import feed
from jobs.queue.pausing import pause, resume
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from tests.support.postgres import both_databases
from tests.support.rows import make_job
from worker import service
from worker.dispatch.metal_worker import MetalWorker

pytestmark = pytest.mark.timeout(300)

#: Jobs that a worker claims at once, at most.
A_CLAIM = 8


@pytest.fixture
def stub(settings: Settings) -> Settings:
    """Settings of a worker that answers at once."""
    return settings.model_copy(update={"model": "stub"})


def add_run(store: Store, size: int, priority: int = 0, models: Sequence[str] = ("stub",)) -> Batch:
    """Store a run for the stub. `models`: names under which it is asked for, by turns."""
    batch = Batch(description="pictures", model="stub", priority=priority)
    store.add_batch(batch)
    jobs = [make_job(str(number), batch) for number in range(size)]
    for job, model in zip(jobs, cycle(models), strict=False):
        job.output, job.model = None, model
        job.request = job.parsed_request().model_copy(update={"model": model}).model_dump_json()
    store.add(jobs)
    return batch


def after_steps(monkeypatch: pytest.MonkeyPatch, steps: int, change: Callable[[], object]) -> None:
    """Do something once while the worker runs."""
    step, taken = MetalWorker._step, [0]

    def step_and_change(worker: MetalWorker) -> None:
        step(worker)
        taken[0] += 1
        if taken[0] == steps:
            change()

    monkeypatch.setattr(MetalWorker, "_step", step_and_change)


def begun(store: Store) -> list[Job]:
    """Return the jobs that were claimed, in the order of their claims."""
    return sorted((job for job in store.jobs() if job.started_at), key=lambda job: (job.started_at or 0.0, job.id))


@both_databases
def test_three_runs_end_by_turns_although_the_broker_forgets_everything(
    stub: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time is a run more than a claim ahead of another; every job runs once, and the high one goes first."""
    runs = [add_run(store, 60) for _ in range(3)]
    high = add_run(store, 10, priority=1)
    feed(store, connection)
    after_steps(monkeypatch, 6, connection.flushall)
    service.run(stub, burst=True)
    service.run(stub, burst=True)
    order = begun(store)
    assert {(job.status, job.attempts) for job in order} == {(JobStatus.SUCCEEDED, 1)}
    assert len(order) == 190
    # The first job begins by itself; the jobs of one claim begin at the same time.
    assert {job.id for job in store.jobs(batch_id=high.id)} <= {job.id for job in order[: 1 + 2 * A_CLAIM]}
    seen = dict.fromkeys((run.id for run in runs), 0)
    for job in (job for job in order if job.batch_id != high.id):
        seen[job.batch_id or ""] += 1
        assert max(seen.values()) - min(seen.values()) <= A_CLAIM


def test_a_paused_run_waits_across_workers(
    stub: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused in mid-work, by the row only: two workers, one after the other, leave its queued jobs and finish the other run."""
    paused, other = add_run(store, 80), add_run(store, 80)
    feed(store, connection)
    after_steps(monkeypatch, 4, lambda: pause(paused.id, store=store, connection=None))
    for _ in range(2):
        service.run(stub, burst=True)
        counts = store.counts(paused.id)
        assert counts[JobStatus.QUEUED] > 0
        assert counts[JobStatus.QUEUED] + counts[JobStatus.SUCCEEDED] == 80
        assert store.counts(other.id)[JobStatus.SUCCEEDED] == 80
    resume(paused.id, store=store, connection=connection)
    service.run(stub, burst=True)
    assert store.counts(paused.id)[JobStatus.SUCCEEDED] == 80


@both_databases
def test_a_cancelled_run_is_numbered_and_leaves_the_lane(store: Store, connection: Redis) -> None:
    """Ended jobs keep their numbers, the cancelled ones follow in their order; other runs stay."""
    run, other = add_run(store, 120), add_run(store, 5)
    feed(store, connection)
    jobs = store.jobs(batch_id=run.id)
    store.claim([job.id for job in jobs[:3]], "worker")
    store.cancel([jobs[0].id])
    assert cancel_run(run.id, store=store, connection=connection) == 119
    assert cancel_run(run.id, store=store, connection=connection) == 0
    ended = store.finished_after(run.id, 0)
    assert [job.id for job in ended] == [job.id for job in jobs]
    assert [job.finished_order for job in ended] == list(range(1, 121))
    assert {job.status for job in ended} == {JobStatus.CANCELLED}
    assert connection.llen("rq:queue:bulk") == len(store.jobs(batch_id=other.id))
