"""A queue's server that accepts no writes for a while, under a worker: no job is lost, doubled or blamed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from redis.client import PubSubWorkerThread

from jobs.configuration.settings import Settings
from jobs.queue import broker
from jobs.queue.feeding import feed
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.brokers import WRITE_FAULTS, Valkey, valkey
from tests.support.own_signals import own_signals
from tests.support.processes import until
from tests.support.rows import make_job
from worker import service
from worker.dispatch import metal_worker, waiting_worker
from worker.dispatch.metal_worker import MetalWorker

_own_signals = pytest.fixture(autouse=True)(own_signals)


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
    batch = add_stub_jobs(store)
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
    assert_each_succeeded(store, batch)


@pytest.mark.parametrize("when", ["_step", "set_state"])
def test_a_worker_starts_its_data_folders_server_again(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The server and its keeper are killed while jobs run, or while the worker has none: nobody else would start it."""
    for module, name in ((service, "AWAY_PAUSE"), (metal_worker, "AWAY_PAUSE"), (waiting_worker, "AWAY_PAUSE")):
        monkeypatch.setattr(module, name, 0.05)
    # A worker of an earlier test may still have its own, for up to a minute.
    others = listeners()
    running = broker.find_or_start(settings)
    batch = add_stub_jobs(store)
    feed(store, running.connection)
    real, calls = getattr(MetalWorker, when), [0]

    def perform_and_kill(worker: MetalWorker, *arguments: Any, **options: Any) -> None:
        real(worker, *arguments, **options)
        calls[0] += 1
        # The worker's first states are those of its birth and of its wait for an entry.
        if calls[0] == 2:
            assert running.process is not None
            server = worker.connection.info()["process_id"]
            running.process.kill()
            os.kill(server, signal.SIGKILL)

    monkeypatch.setattr(MetalWorker, when, perform_and_kill)
    # A worker that would wait for ever stops in order, and its jobs are not done.
    stop = threading.Timer(30.0, os.kill, (os.getpid(), signal.SIGTERM))
    stop.start()
    service.run(settings.model_copy(update={"model": "stub"}), burst=True)
    stop.cancel()
    assert calls[0] > 2
    assert_each_succeeded(store, batch)
    running.stop()
    # Each worker that lost its server has ended the thread on which rq listens for commands.
    until(lambda: not listeners() - others, "the threads' end")


def listeners() -> set[threading.Thread]:
    """Return the threads on which rq listens for commands."""
    return {one for one in threading.enumerate() if isinstance(one, PubSubWorkerThread)}


def add_stub_jobs(store: Store) -> Batch:
    """Add a batch of jobs for the stub, which write no file."""
    batch = Batch(description="pictures", model="stub")
    store.add_batch(batch)
    jobs = [make_job(str(number), batch) for number in range(60)]
    for job in jobs:
        job.output, job.model = None, "stub"
        job.request = job.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
    store.add(jobs)
    return batch


def assert_each_succeeded(store: Store, batch: Batch) -> None:
    ended = store.jobs(batch_id=batch.id, limit=100)
    assert {(job.status, job.deaths) for job in ended} == {(JobStatus.SUCCEEDED, 0)}
    assert len(ended) == 60
