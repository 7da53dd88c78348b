"""The lanes on a real Valkey: entries carry ids, lost ones come back, foreign ones are refused."""

from __future__ import annotations

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from jobs.errors import InvalidRequestError
from jobs.queue.lanes import FUNCTION, Entry, LaneQueue, lanes, push, take, withdraw
from jobs.queue.reconcile import reconcile
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.rows import add_batch, make_job


def waiting(connection: Redis, lane: Lane = Lane.BULK) -> list[str]:
    """Return the ids in a lane, in order."""
    ids: list[str] = LaneQueue(lane, connection=connection, serializer=JSONSerializer).get_job_ids()
    return ids


def fetched(connection: Redis) -> Entry:
    """Read the entry `evil` as the worker does."""
    entry = Entry.fetch("evil", connection=connection, serializer=JSONSerializer)
    assert isinstance(entry, Entry)
    return entry


def urgent(store: Store, count: int) -> list[str]:
    """Add urgent rows. Returns their ids."""
    jobs = [make_job(str(number)) for number in range(count)]
    for job in jobs:
        job.lane, job.output = Lane.INTERACTIVE, None
    store.add(jobs)
    return [job.id for job in jobs]


def test_an_urgent_row_without_an_entry_gets_one(store: Store, connection: Redis) -> None:
    """A process died between the commit and the push: the missing entries are pushed once, in the order of the rows."""
    ids = urgent(store, 5)
    push(connection, Lane.INTERACTIVE, ids[:2])
    for _ in range(2):
        reconcile(store, connection)
        assert waiting(connection, Lane.INTERACTIVE) == ids


def test_urgent_jobs_that_were_begun_go_ahead(store: Store, connection: Redis) -> None:
    """A worker that died had taken them."""
    ids = urgent(store, 6)
    push(connection, Lane.INTERACTIVE, ids[2:4])
    reconcile(store, connection, begun=ids[:2])
    assert waiting(connection, Lane.INTERACTIVE) == ids


def test_an_urgent_row_that_was_just_written_is_left_to_its_writer(store: Store, connection: Redis) -> None:
    """With an age given, reconcile does not race a process that is about to push."""
    urgent(store, 1)
    reconcile(store, connection, older_than=60)
    assert waiting(connection, Lane.INTERACTIVE) == []


def test_a_taken_id_stays_in_the_intermediate_list(store: Store, connection: Redis) -> None:
    """A kill right after the dequeue loses nothing, unlike with BLPOP on several queues."""
    _, jobs = add_batch(store, 1)
    push(connection, Lane.BULK, [jobs[0].id])
    take(connection, lanes(connection), 1)
    assert [queue.intermediate_queue.get_job_ids() for queue in lanes(connection)] == [[], [jobs[0].id]]


def test_the_interactive_lane_comes_first(store: Store, connection: Redis) -> None:
    """A chat that is queued last is taken first."""
    _, jobs = add_batch(store, 3)
    push(connection, Lane.BULK, [jobs[0].id, jobs[1].id])
    push(connection, Lane.INTERACTIVE, [jobs[2].id])
    [(entry, _)] = take(connection, lanes(connection), 1)
    assert entry.id == jobs[2].id


def test_several_are_taken_at_once_in_the_order_of_their_lanes(store: Store, connection: Redis) -> None:
    """Up to the wanted number, each with its entry; an id without an entry is left in the intermediate list."""
    _, jobs = add_batch(store, 5)
    ids = [job.id for job in jobs]
    push(connection, Lane.BULK, ids[:4])
    push(connection, Lane.INTERACTIVE, ids[4:])
    connection.delete(Entry.key_for(ids[1]))
    taken = take(connection, lanes(connection), 3)
    assert [(entry.id, queue.name) for entry, queue in taken] == [
        (ids[4], Lane.INTERACTIVE),
        (ids[0], Lane.BULK),
        (ids[2], Lane.BULK),
    ]
    for entry, _ in taken:
        entry.check()
    assert [queue.intermediate_queue.get_job_ids() for queue in lanes(connection)] == [ids[4:], ids[:3]]
    assert [entry.id for entry, _ in take(connection, lanes(connection), 3)] == ids[3:4]
    assert take(connection, lanes(connection), 3) == []


def test_entries_pushed_to_the_front_keep_their_order(store: Store, connection: Redis) -> None:
    """All new entries go ahead of the old ones, the first new entry first."""
    _, jobs = add_batch(store, 4)
    ids = [job.id for job in jobs]
    push(connection, Lane.BULK, ids[:2])
    push(connection, Lane.BULK, ids[2:], at_front=True)
    assert waiting(connection) == ids[2:] + ids[:2]


def test_withdrawn_entries_leave_nothing_behind(store: Store, connection: Redis) -> None:
    """Few or many withdrawn entries leave neither an id nor a hash, and the others keep their order."""
    _, jobs = add_batch(store, 60)
    ids = [job.id for job in jobs]
    push(connection, Lane.BULK, ids)
    withdraw(connection, [*ids[:2], "job_unknown"])
    assert waiting(connection) == ids[2:]
    withdraw(connection, ids[10:50:2])
    left = ids[2:10] + ids[11:50:2] + ids[50:]
    assert waiting(connection) == left
    assert [job_id for job_id in ids if connection.exists(Entry.key_for(job_id))] == left
    assert connection.keys("captionq:*") == []


def test_an_entry_that_names_another_function_is_refused(connection: Redis) -> None:
    """A process that can write to Redis must not be able to run code here."""
    Queue(Lane.BULK, connection=connection, serializer=JSONSerializer).enqueue("os.system", "true", job_id="evil")
    entry = fetched(connection)
    with pytest.raises(InvalidRequestError, match=r"os\.system"):
        entry.check()
    with pytest.raises(InvalidRequestError):
        entry.perform()


def test_an_entry_with_a_callback_is_refused_and_the_callback_forgotten(connection: Redis) -> None:
    """rq's own clean-up would import and call the callback."""
    queue = Queue(Lane.BULK, connection=connection, serializer=JSONSerializer)
    queue.enqueue(FUNCTION, job_id="evil")
    connection.hset(Entry.key_for("evil"), "failure_callback_name", "os.getcwd")
    entry = fetched(connection)
    assert entry.failure_callback is None
    with pytest.raises(InvalidRequestError):
        entry.check()


def test_a_queued_job_costs_redis_less_than_600_bytes(store: Store, connection: Redis) -> None:
    """A folder of a hundred thousand images is 60 MB of queue."""
    _, jobs = add_batch(store, 1000)
    push(connection, Lane.BULK, [job.id for job in jobs])
    entry = connection.memory_usage(Entry.key_for(jobs[0].id), samples=0)
    lane = connection.memory_usage(f"rq:queue:{Lane.BULK}", samples=0)
    assert entry is not None
    assert lane is not None
    assert entry + lane / len(jobs) < 600
