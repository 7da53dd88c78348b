"""The list of batches."""

from __future__ import annotations

from jobs.store.queries.batch_list import newest_batches
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import add_batch


def test_the_newest_batches_come_first_with_their_counts(store: Store) -> None:
    """A batch without jobs is listed too; the limit cuts the oldest."""
    (oldest, _), (middle, jobs), (empty, _) = add_batch(store, 1), add_batch(store, 3), add_batch(store, 0)
    store.cancel([jobs[0].id])
    found = newest_batches(store.engine, limit=2)
    assert [one.batch.id for one in found] == [empty.id, middle.id]
    assert (found[1].counts[JobStatus.QUEUED], found[1].counts[JobStatus.CANCELLED]) == (2, 1)
    assert set(found[0].counts.values()) == {0}
    assert newest_batches(store.engine, limit=9)[-1].batch.id == oldest.id
