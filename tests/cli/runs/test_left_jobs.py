"""The jobs that a killed run of the same command has left."""

from __future__ import annotations

import pytest

from cli.runs.left_jobs import LeftJobs, cancel_left_jobs
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.creation.run_locks import RunLocks
from jobs.queue.broker_socket import connect
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import add_batch


def test_a_broker_that_is_away_keeps_no_left_job_alive(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker of a killed run ends a moment after it. The run that follows says so, and goes on by the rows."""
    runs = RunLocks(settings)
    dead, (left,) = add_batch(store, 1)
    cancel_left_jobs(dead.description, store=store, runs=runs, connection=connect(settings))
    (left,) = store.those([left.id])
    assert left.status == JobStatus.CANCELLED
    assert "The broker is away" in caplog.text


def test_an_image_whose_text_has_another_name_by_now_gets_one_text(settings: Settings, store: Store) -> None:
    """A twin came beside it while nobody ran. The job that would write the old name is cancelled; that of others goes on."""
    runs = RunLocks(settings)
    _, (moved, kept, done) = add_batch(store, 3)
    planned = [PendingImage.at(path_of(job.source or ""), path_of(job.output or "")) for job in (moved, kept, done)]
    planned[0] = PendingImage.at(planned[0].image, planned[0].output.with_suffix(".jpg.txt"))
    found: list[PendingImage | SkippedImage] = [*planned[:2], SkippedImage(planned[2].place)]
    assert list(LeftJobs(settings, store, runs, None).cancel(iter(found))) == found
    assert [store.job(job.id).status for job in (moved, kept, done)] == [
        JobStatus.CANCELLED,
        JobStatus.QUEUED,
        JobStatus.CANCELLED,
    ]
