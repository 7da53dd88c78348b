"""Pausing and resuming runs on a real Valkey: rows, lane and claims."""

from __future__ import annotations

import pytest
from redis import Redis

from jobs.creation.cancel import cancel
from jobs.errors import ConflictError, NotFoundError
from jobs.queue.feeding import feed
from jobs.queue.lanes import Entry, lane_queue, lanes, push, take
from jobs.queue.pausing import pause, resume
from jobs.queue.positions import ahead_of
from jobs.queue.reconcile import reconcile
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from tests.support.postgres import both_databases
from tests.support.rows import RESULT, add_batch, make_job


def waiting(connection: Redis, lane: Lane = Lane.BULK) -> list[str]:
    """Return the ids in a lane, in order."""
    ids: list[str] = lane_queue(connection, lane).get_job_ids()
    return ids


@both_databases
def test_a_paused_run_leaves_the_lane_and_comes_back(store: Store, connection: Redis) -> None:
    """The others go on; after a restart the run still waits; resumed, it is in its old order."""
    paused, jobs = add_batch(store, 4)
    _, others = add_batch(store, 2)
    feed(store, connection)
    assert pause(paused.id, store=store, connection=connection).paused_at is not None
    others_only = [job.id for job in others]
    assert waiting(connection) == others_only
    connection.flushall()
    reconcile(store, connection)
    assert waiting(connection) == others_only
    assert pause(paused.id, store=store, connection=connection).id == paused.id
    assert resume(paused.id, store=store, connection=connection).paused_at is None
    assert [job_id for job_id in waiting(connection) if job_id not in others_only] == [job.id for job in jobs]


@both_databases
def test_a_pause_that_came_after_feeding_is_seen_at_the_claim(store: Store, connection: Redis) -> None:
    """Without a broker only the row changes: entries that are in the lane, or taken, claim nothing, and the rows wait."""
    paused, jobs = add_batch(store, 2)
    _, (other,) = add_batch(store, 1)
    feed(store, connection)
    taken = [entry.id for entry, _ in take(connection, lanes(connection), 3)]
    assert len(taken) == 3
    pause(paused.id, store=store, connection=None)
    assert store.claim(taken, "worker").keys() == {other.id}
    assert {store.job(job.id).status for job in jobs} == {JobStatus.QUEUED}
    connection.delete(lane_queue(connection, Lane.BULK).intermediate_queue_key)
    resume(paused.id, store=store, connection=connection)
    assert waiting(connection) == [job.id for job in jobs]


def test_urgent_jobs_of_a_run_wait_and_come_back(store: Store, connection: Redis) -> None:
    """A list may be urgent: its entries are made again when the run is resumed, not before."""
    batch = Batch(description="a list", model="demo")
    job = make_job("photo", batch)
    job.lane = Lane.INTERACTIVE
    store.add_batch(batch)
    store.add([job])
    push(connection, Lane.INTERACTIVE, [job.id])
    pause(batch.id, store=store, connection=connection)
    assert store.claim([entry.id for entry, _ in take(connection, lanes(connection), 1)], "worker") == {}
    connection.delete(lane_queue(connection, Lane.INTERACTIVE).intermediate_queue_key, Entry.key_for(job.id))
    reconcile(store, connection)
    assert waiting(connection, Lane.INTERACTIVE) == []
    resume(batch.id, store=store, connection=connection)
    assert waiting(connection, Lane.INTERACTIVE) == [job.id]


def test_a_paused_run_can_be_cancelled(store: Store, connection: Redis) -> None:
    """Its jobs end like those of any run; then there is nothing to pause."""
    batch, jobs = add_batch(store, 3)
    pause(batch.id, store=store, connection=connection)
    cancel([job.id for job in jobs], store=store, connection=connection)
    assert store.counts(batch.id)[JobStatus.CANCELLED] == 3
    resume(batch.id, store=store, connection=connection)
    with pytest.raises(ConflictError, match=batch.id):
        pause(batch.id, store=store, connection=connection)


def test_only_runs_can_be_paused(store: Store, connection: Redis) -> None:
    """An unknown id is named."""
    for change in (pause, resume):
        with pytest.raises(NotFoundError, match="batch_unknown"):
            change("batch_unknown", store=store, connection=connection)


@both_databases
def test_positions_count_rows_and_turns(store: Store, connection: Redis) -> None:
    """A job's place is known although it has no entry: by its own run's rows, those of its equals, and urgent ones."""
    first, jobs = add_batch(store, 300)
    add_batch(store, 2)
    high = Batch(description="high", model="demo", priority=1)
    urgent: Job = make_job("urgent")
    urgent.lane, urgent.output = Lane.INTERACTIVE, None
    single = make_job("single", high)
    store.add_batch(high)
    store.add([urgent, single])
    feed(store, connection)
    push(connection, Lane.INTERACTIVE, [urgent.id])
    places = [ahead_of(store, connection, job) for job in (urgent, single, jobs[0], jobs[1], jobs[299])]
    # Urgent and high ones go ahead; of the other run as many as of the own one, while it has any.
    assert places == [0, 1, 2, 4, 303]
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    assert ahead_of(store, connection, jobs[1]) == 2
    pause(first.id, store=store, connection=connection)
    assert ahead_of(store, connection, jobs[1]) is None
