"""A queue's server that accepts no writes for a while, under a worker: no job is lost, doubled or blamed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.brokers import WRITE_FAULTS, Valkey, valkey
from tests.support.rows import make_job
from worker import service
from worker.dispatch.metal_worker import MetalWorker


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server that tests may break."""
    with valkey(tmp_path) as server:
        yield server


@pytest.mark.parametrize("fault", [fault for fault, _ in WRITE_FAULTS])
def test_a_worker_outlives_a_server_that_accepts_no_writes(
    settings: Settings,
    store: Store,
    server: Valkey,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Valkey], AbstractContextManager[None]],
) -> None:
    """It begins in the middle of the work and ends by itself. Each job succeeds, and none counts a death."""
    monkeypatch.setattr(service, "AWAY_PAUSE", 0.05)
    batch = Batch(description="pictures", model="stub")
    store.add_batch(batch)
    jobs = [make_job(str(number), batch) for number in range(60)]
    for job in jobs:
        job.output, job.model = None, "stub"
        job.request = job.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
    store.add(jobs)
    feed(store, server.connection)
    step, steps, broken = MetalWorker._step, [0], fault(server)

    def step_and_break(worker: MetalWorker) -> None:
        step(worker)
        steps[0] += 1
        if steps[0] == 3:
            broken.__enter__()
            threading.Timer(0.5, broken.__exit__, (None, None, None)).start()

    monkeypatch.setattr(MetalWorker, "_step", step_and_break)
    service.run(settings.model_copy(update={"redis_url": server.url, "model": "stub"}), burst=True)
    ended = store.jobs(batch_id=batch.id, limit=100)
    assert {(job.status, job.deaths) for job in ended} == {(JobStatus.SUCCEEDED, 0)}
    assert len(ended) == 60
