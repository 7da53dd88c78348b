"""Runs for the stub, whose answers come at once, with texts beside pictures that nobody opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.queue.feeding import feed
from jobs.requests import address_of
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import make_job
from worker.dispatch.faults import database_patience, held_outcomes, patient_start

QueueTexts = Callable[..., list[Job]]


@pytest.fixture
def stub(settings: Settings) -> Settings:
    """Settings of a worker that answers at once."""
    return settings.model_copy(update={"model": "stub"})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all waits, in the code that counts them in seconds."""
    monkeypatch.setattr(patient_start, "WRITER_WAIT", 0.05)
    monkeypatch.setattr(patient_start, "OPEN_PAUSE", 0.01)
    monkeypatch.setattr(database_patience, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(held_outcomes, "ROOM_CHECK_EVERY", 0.1)


@pytest.fixture
def queue_texts(store: Store, connection: Redis) -> QueueTexts:
    """A function that queues jobs, each of which writes a text into a folder."""

    def queue(folder: Path, count: int) -> list[Job]:
        folder.mkdir(exist_ok=True)
        batch = Batch(description="pictures", model="stub")
        jobs = [make_job(str(number), batch) for number in range(count)]
        for number, job in enumerate(jobs):
            job.output, job.model = address_of(folder / f"{number}.txt"), "stub"
            job.request = job.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
        store.add_batch(batch)
        store.add(jobs)
        feed(store, connection)
        return jobs

    return queue
