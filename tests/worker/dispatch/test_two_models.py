"""Two workers and runs of two models: each worker stays with a model, and neither waits for the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.queue.worker_state import live_workers
from jobs.queue.workers.draining import drain
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.processes import until
from tests.support.rows import make_job
from worker.dispatch.metal_worker import MetalWorker
from worker.engine.sequences import Outcome
from worker.pipeline.stub_pipeline import StubPipeline

pytestmark = pytest.mark.timeout(300)

NAMES = ("one", "two")
SIZE = 40
#: Seconds that two jobs take.
STEP = 0.05


@contextmanager
def working(settings: Settings, store: Store, connection: Redis) -> Iterator[None]:
    """Run two workers, each with a pipeline of its own, in threads."""
    workers = [MetalWorker(name, connection, store, StubPipeline(settings), settings) for name in NAMES]
    threads = [threading.Thread(target=worker.work) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(live_workers(connection)) == 2, "the workers")
        # Each has seen the other one.
        time.sleep(1.5)
        yield
    finally:
        for name in NAMES:
            drain(connection, name)
        for thread in threads:
            thread.join(60)


def test_each_of_two_workers_stays_with_its_model(
    settings: Settings, store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of both runs come by turns. Each model is loaded once, and each job runs once."""
    small = settings.model_copy(update={"model": "stub", "slots": 8})
    loaded: list[str] = []
    step = StubPipeline.step

    def load(pipeline: StubPipeline, model: str, *_: object) -> None:
        loaded.append(model)
        pipeline.model = model

    def slowly(pipeline: StubPipeline) -> list[Outcome]:
        time.sleep(STEP)
        return step(pipeline)

    monkeypatch.setattr(StubPipeline, "load", load)
    monkeypatch.setattr(StubPipeline, "step", slowly)
    monkeypatch.setattr(MetalWorker, "_install_signal_handlers", lambda _worker: None)
    with working(small, store, connection):
        for model in ("a", "b"):
            run = Batch(description="pictures", model=model)
            store.add_batch(run)
            jobs = [make_job(f"{model}{number}", run) for number in range(SIZE)]
            for job in jobs:
                job.output, job.model = None, model
                job.request = job.parsed_request().model_copy(update={"model": model}).model_dump_json()
            store.add(jobs)
        feed(store, connection)
        until(lambda: store.counts()[JobStatus.SUCCEEDED] == 2 * SIZE, "both runs")
    assert sorted(loaded) == ["a", "b"]
    assert len({(job.model, job.worker) for job in store.jobs()}) == 2
    assert {job.attempts for job in store.jobs()} == {1}
