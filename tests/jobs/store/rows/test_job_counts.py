"""Counts of jobs: the same as a count of the rows after any change."""

from __future__ import annotations

import random
import time

from sqlalchemy import text

from jobs.errors import ImageError
from jobs.store.connection import reading, writing
from jobs.store.queries.waiting_rows import count_of_run, count_waiting
from jobs.store.retention.pruning import delete_batch, prune
from jobs.store.rows.job_counts import count_open
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.rows import RESULT, add_batch, make_job

_KEYS = "coalesce(batch_id, ''), status, lane"


def check(store: Store) -> None:
    """Compare the stored counts with the rows."""
    with reading(store.engine) as connection:
        rows = connection.execute(text(f"SELECT {_KEYS}, count(*) FROM job GROUP BY {_KEYS}")).all()
        counted = connection.execute(text(f"SELECT {_KEYS}, number FROM job_count WHERE number <> 0")).all()
    assert sorted(map(tuple, counted)) == sorted(map(tuple, rows))


def test_counts_agree_with_the_rows_after_every_change(store: Store) -> None:
    """Some hundreds of random changes, by every method that changes a state, and by SQL that the store does not have."""
    chance = random.Random(7)
    batches = [add_batch(store, 30)[0] for _ in range(3)]
    alone = [make_job(f"alone-{number}") for number in range(30)]
    for job in alone:
        job.lane = Lane.INTERACTIVE
    store.add(alone)
    check(store)
    ids = [job.id for job in store.jobs()]
    changes = (
        lambda some: store.claim(some, "worker"),
        lambda some: [store.succeed(one, RESULT) for one in some],
        lambda some: [store.fail(one, ImageError()) for one in some],
        lambda some: [store.release(one) for one in some],
        store.cancel,
        lambda some: store.adopt(some, batches[0].id, {batches[1].id}),
    )
    for _ in range(60):
        chance.choice(changes)(chance.sample(ids, 4))
        check(store)
    store.recover("worker")
    check(store)
    with writing(store.engine) as connection:
        connection.execute(
            text("UPDATE job SET batch_id = NULL, lane = 'bulk' WHERE batch_id = :id"), {"id": batches[2].id}
        )
    check(store)
    store.cancel_batch(batches[0].id)
    check(store)
    delete_batch(store.engine, batches[0].id)
    check(store)
    prune(store.engine, time.time() + 60)
    check(store)


def test_counts_are_read_by_batch_and_by_lane(store: Store) -> None:
    """Without a batch, jobs count among all jobs only. A batch that is removed leaves no counts."""
    batch, jobs = add_batch(store, 3)
    urgent = make_job()
    urgent.lane = Lane.INTERACTIVE
    store.add([urgent])
    store.claim([jobs[0].id], "worker")
    assert {status: count for status, count in store.counts(batch.id).items() if count} == {"queued": 2, "running": 1}
    assert {status: count for status, count in store.counts().items() if count} == {"queued": 3, "running": 1}
    assert (count_waiting(store.engine, Lane.BULK), count_waiting(store.engine, Lane.INTERACTIVE)) == (2, 1)
    with reading(store.engine) as connection:
        assert count_open(connection, batch.id) == 3
        assert [count_of_run(connection, Lane.BULK, one) for one in (batch.id, None)] == [2, 0]
    assert [one.id for one in store.open_batches()] == [batch.id]
    store.cancel([job.id for job in jobs])
    assert store.open_batches() == []
    delete_batch(store.engine, batch.id)
    with reading(store.engine) as connection:
        left = connection.execute(text("SELECT batch_id FROM job_count WHERE batch_id <> ''")).all()
    assert left == []
