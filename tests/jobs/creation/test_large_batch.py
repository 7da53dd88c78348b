"""Batches that are made in chunks: all of their jobs or none, even if their maker dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy.exc import IntegrityError

from jobs.creation.abandoned_batches import ABANDONED_AFTER, end_abandoned
from jobs.creation.create import queue_jobs
from jobs.creation.idempotency import find_repeated_batch
from jobs.creation.large_batch import make_batch
from jobs.errors import ConflictError, IdempotencyError
from jobs.queue import lanes
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job, JobStatus, Lane

LONG_AGO = time.time() - ABANDONED_AFTER - 1


def job(batch: Batch, **more: Any) -> Job:
    """Make a row of the batch."""
    return Job(model="demo", request="{}", digest="x", batch_id=batch.id, lane=Lane.BULK, **more)


def batch(digest: str = "x", **more: Any) -> Batch:
    """Make a folder with a key."""
    return Batch(
        description="a folder", kind=BatchKind.FOLDER, model="demo", digest=digest, idempotency_key="k", **more
    )


def test_the_same_key_finds_the_batch_that_is_whole(store: Store, connection: Redis) -> None:
    """The same key with another question is refused."""
    one = batch()
    made = make_batch(one, ([job(one)] for _ in range(3)), (), store=store, connection=connection)
    assert not made.repeated
    assert store.batch(one.id).complete
    assert lanes.waiting(connection, Lane.BULK) == 3
    two = batch()
    again = make_batch(two, [[job(two)]], (), store=store, connection=connection)
    assert (again.repeated, again.made.id) == (True, one.id)
    with pytest.raises(IdempotencyError):
        find_repeated_batch(batch("y"), store=store, connection=connection)


def test_what_breaks_on_the_way_leaves_nothing_open(store: Store, connection: Redis) -> None:
    """Queued jobs are cancelled, the batch has ended, and its key is free."""
    one = batch()
    first = job(one)
    with pytest.raises(IntegrityError):
        make_batch(one, [[first], [job(one, id=first.id)]], (), store=store, connection=connection)
    assert store.job(first.id).status == JobStatus.CANCELLED
    assert store.batch(one.id).complete
    assert lanes.waiting(connection, Lane.BULK) == 0
    two = batch()
    assert not make_batch(two, [[job(two)]], (), store=store, connection=connection).repeated


def test_nobody_is_given_a_part_of_a_batch(store: Store, connection: Redis) -> None:
    """While a batch is being made, its key is refused; after its maker has died, the batch is made again."""
    living = batch(complete=False)
    store.add_batch(living)
    with pytest.raises(ConflictError, match="still being queued"):
        find_repeated_batch(batch(), store=store, connection=connection)
    store.give_up(living.id)
    dead = batch(complete=False, created_at=LONG_AGO)
    store.add_batch(dead)
    queue_jobs([job(dead, created_at=LONG_AGO)], store=store, connection=connection)
    anew = batch()
    assert find_repeated_batch(anew, store=store, connection=connection) is None
    assert not make_batch(anew, [[job(anew)]], (), store=store, connection=connection).repeated
    assert store.counts(dead.id)[JobStatus.CANCELLED] == 1
    assert lanes.waiting(connection, Lane.BULK) == 1


def test_only_the_dead_are_ended(store: Store, connection: Redis) -> None:
    """A creation of many minutes lives as long as jobs come, in any process, with a key or without."""
    slow, dead = (
        batch(complete=False, created_at=LONG_AGO),
        Batch(description="", model="demo", complete=False, created_at=LONG_AGO),
    )
    for one in (slow, dead):
        store.add_batch(one)
    queue_jobs(
        [job(slow, created_at=LONG_AGO), job(slow), job(dead, created_at=LONG_AGO)], store=store, connection=connection
    )
    assert end_abandoned(store=store, connection=connection, now=time.time()) == 1
    assert store.batch(dead.id).complete
    assert not store.batch(slow.id).complete
    assert store.counts()[JobStatus.CANCELLED] == 1


def test_a_maker_that_was_given_up_learns_it(store: Store, connection: Redis) -> None:
    """The maker had stood still for too long: jobs that it queued since then do not run."""
    one = batch()

    def chunks() -> Iterator[list[Job]]:
        yield [job(one)]
        assert end_abandoned(store=store, connection=connection, now=time.time() + ABANDONED_AFTER + 1) == 1
        yield [job(one)]

    with pytest.raises(ConflictError, match="given up"):
        make_batch(one, chunks(), (), store=store, connection=connection)
    assert store.counts(one.id)[JobStatus.CANCELLED] == 2
