"""The progress of a batch, by its rows."""

from __future__ import annotations

import time

import pytest

from jobs.errors import ImageError
from jobs.store.progress import progress_of
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import add_batch


def test_the_time_left_follows_from_the_speed_of_the_last_jobs(store: Store) -> None:
    """Before the first end it is unknown, and after the last end no time is left."""
    batch = Batch(description="a folder", model="demo")
    store.add_batch(batch)
    jobs = [Job(model="demo", request="{}", digest="x", batch_id=batch.id) for _ in range(4)]
    store.add(jobs)
    assert (progress_of(store, batch).rate, progress_of(store, batch).seconds_left) == (None, None)
    store.fail(jobs[0].id, ImageError())
    store.fail(jobs[1].id, ImageError())
    half = progress_of(store, batch)
    assert half.rate is not None
    assert half.seconds_left == pytest.approx(2 / half.rate)
    store.cancel([job.id for job in jobs])
    assert (progress_of(store, batch).seconds_left, progress_of(store, batch).has_ended) == (None, True)


def test_a_pause_has_no_time_left(store: Store) -> None:
    """It lasts until a person ends it."""
    batch, jobs = add_batch(store, 3)
    store.fail(jobs[0].id, ImageError())
    store.pause(batch.id, time.time())
    assert progress_of(store, store.batch(batch.id)).seconds_left is None
    store.resume(batch.id)
    assert progress_of(store, store.batch(batch.id)).seconds_left is not None


def test_a_batch_that_is_still_being_made_has_no_end(store: Store) -> None:
    """The jobs that are there by now have ended, and others are to come."""
    batch = Batch(description="a folder", model="demo", complete=False)
    store.add_batch(batch)
    job = Job(model="demo", request="{}", digest="x", batch_id=batch.id)
    store.add([job])
    store.fail(job.id, ImageError())
    growing = progress_of(store, batch)
    assert (growing.finished_at, growing.has_ended) == (None, False)
    store.complete(batch.id)
    whole = progress_of(store, store.batch(batch.id))
    assert whole.has_ended
    assert whole.finished_at is not None
