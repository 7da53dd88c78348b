"""A worker that is drained: it ends the jobs that it has begun, leaves the others in their lane, and ends."""

from __future__ import annotations

import threading

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.queue.lanes import lanes
from jobs.queue.worker_state import live_workers
from jobs.queue.workers.draining import drain, undo_drain
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import until
from tests.worker.dispatch.test_turns import add_run
from worker import service
from worker.dispatch import metal_worker
from worker.engine.sequences import Outcome
from worker.pipeline.stub_pipeline import StubPipeline
from worker.worker_name import worker_name

pytestmark = pytest.mark.timeout(300)


def test_a_drained_worker_ends_with_the_jobs_that_it_has(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next jobs keep their order. Its state says that it drains, and the next start takes jobs again."""
    stub = settings.model_copy(update={"model": "stub", "slots": 8})
    run = add_run(store, 30)
    feed(store, connection)
    step = StubPipeline.step
    asked: list[str] = []

    def step_and_drain(pipeline: StubPipeline) -> list[Outcome]:
        if not pipeline.in_flight:
            return []
        if not asked:
            asked.append(worker_name(stub))
            drain(connection, *asked)
        # The jobs are held until the worker has seen the drain, a second later. At its first step it has published no state yet.
        return step(pipeline) if any(state.draining for state in live_workers(connection)) else []

    monkeypatch.setattr(StubPipeline, "step", step_and_drain)
    assert service.run(stub)
    counts = store.counts(run.id)
    assert 0 < counts[JobStatus.SUCCEEDED] < 30
    assert counts[JobStatus.QUEUED] + counts[JobStatus.SUCCEEDED] == 30
    waiting: list[str] = lanes(connection)[1].get_job_ids()
    left = [job.id for job in store.jobs(batch_id=run.id) if job.status == JobStatus.QUEUED]
    assert waiting == left
    assert live_workers(connection) == []
    monkeypatch.setattr(StubPipeline, "step", step)
    assert not service.run(stub, burst=True)
    assert store.counts(run.id)[JobStatus.SUCCEEDED] == 30


def test_an_idle_worker_ends_when_it_is_drained_unless_the_drain_is_undone(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks every second."""
    stub = settings.model_copy(update={"model": "stub"})
    monkeypatch.setattr(metal_worker.MetalWorker, "_install_signal_handlers", lambda _worker: None)
    look, turn = metal_worker.MetalWorker.run_maintenance_tasks, threading.Lock()

    def look_in_turn(worker: metal_worker.MetalWorker) -> None:
        with turn:
            look(worker)

    monkeypatch.setattr(metal_worker.MetalWorker, "run_maintenance_tasks", look_in_turn)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(service.run(stub)))
    thread.start()
    until(lambda: len(live_workers(connection)) == 1, "the worker")
    # A worker that looks in between ends at once, and rightly.
    with turn:
        drain(connection, worker_name(stub))
        undo_drain(connection, worker_name(stub))
    run = add_run(store, 3)
    feed(store, connection)
    until(lambda: store.counts(run.id)[JobStatus.SUCCEEDED] == 3, "the jobs")
    drain(connection, worker_name(stub))
    thread.join(60)
    assert ended == [True]
