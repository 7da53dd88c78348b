"""The progress of a batch, by its rows."""

from __future__ import annotations

import pytest

from jobs.errors import ImageError
from jobs.store.progress import progress_of
from jobs.store.store import Store
from jobs.store.tables import Batch, Job


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
