"""Feeding on a real Valkey: the bulk lane is a window on the rows, in which runs take turns."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from sqlalchemy import text

from jobs.queue import feeding
from jobs.queue.feeding import Feeder, end_feeding, enqueue, feed
from jobs.queue.lanes import Entry, lane_queue, lanes, push, take
from jobs.queue.workers.taken_ids import put_off
from jobs.store.connection import reading
from jobs.store.queries.waiting_rows import waiting_runs
from jobs.store.store import Store
from jobs.store.tables import Batch, Lane
from tests.support.postgres import both_databases
from tests.support.rows import RESULT, add_batch, make_job


def waiting(connection: Redis) -> list[str]:
    """Return the ids in the bulk lane, in order."""
    ids: list[str] = lane_queue(connection, Lane.BULK).get_job_ids()
    return ids


def add_run(store: Store, size: int, *, priority: int = 0, overtakes: bool = False) -> list[str]:
    """Store a batch of queued jobs. Returns their ids, in order."""
    batch = Batch(description="pictures", model="demo", priority=priority, overtakes=overtakes)
    store.add_batch(batch)
    jobs = [make_job(str(number), batch) for number in range(size)]
    for job in jobs:
        job.output = None
    store.add(jobs)
    return [job.id for job in jobs]


def by_turns(*runs: list[str]) -> list[str]:
    """Interleave runs of equal length."""
    return [job_id for turn in zip(*runs, strict=True) for job_id in turn]


def finish(store: Store, connection: Redis, count: int) -> list[str]:
    """Take jobs as a worker does, and end them. Returns their ids."""
    taken = [entry.id for entry, _ in take(connection, lanes(connection), count)]
    claimed = store.claim(taken, "worker")
    for job_id in claimed:
        store.succeed(job_id, RESULT)
    connection.delete(lane_queue(connection, Lane.BULK).intermediate_queue_key, *map(Entry.key_for, taken))
    return [job_id for job_id in taken if job_id in claimed]


@both_databases
def test_runs_take_turns_picture_by_picture(store: Store, connection: Redis) -> None:
    """A second and a third run get their turn at once, although the lane was full of the first run's entries."""
    first = add_run(store, 200)
    feed(store, connection)
    assert waiting(connection) == first[: feeding.ENTRIES_A_WORKER]
    assert finish(store, connection, 20) == first[:20]
    second, third = add_run(store, 200), add_run(store, 200)
    feed(store, connection)
    expected = by_turns(first[20:200], second[:180], third[:180])
    done: list[str] = []
    while len(done) < len(expected):
        # Not a multiple of the number of runs: the turn goes on where it was.
        done += finish(store, connection, 7)
        Feeder(store, connection).feed()
    assert done[: len(expected)] == expected


def test_the_turn_goes_on_after_the_lane_ran_dry(store: Store, connection: Redis) -> None:
    """The last turn is remembered when no entry is left to tell it."""
    first, second = add_run(store, 100), add_run(store, 100)
    feed(store, connection)
    finish(store, connection, 63)
    store.cancel(waiting(connection))
    while waiting(connection):
        finish(store, connection, 10)
    left = [[job_id for job_id in run if store.job(job_id).status == "queued"] for run in (first, second)]
    feed(store, connection)
    assert waiting(connection)[:4] == by_turns(left[0][:2], left[1][:2])


def test_a_higher_priority_goes_first_whatever_the_lane_held(store: Store, connection: Redis) -> None:
    """Strictly: no job of a lower priority is in the window while the higher one fills it."""
    normal, low = add_run(store, 100), add_run(store, 5, priority=-1)
    feed(store, connection)
    high = add_run(store, 70, priority=5)
    feed(store, connection)
    assert waiting(connection) == high[: feeding.ENTRIES_A_WORKER]
    assert len(connection.keys("rq:job:*")) == feeding.ENTRIES_A_WORKER
    done: list[str] = []
    while page := finish(store, connection, 10):
        done += page
        Feeder(store, connection).feed()
    assert done == high + normal + low


def test_a_watched_run_goes_ahead_of_older_ones_and_takes_turns_with_newer_ones(
    store: Store, connection: Redis
) -> None:
    """Jobs that a dead run left wait for the run that a person watches; a run that comes later does not wait."""
    left, watched, newer = add_run(store, 3), add_run(store, 3, overtakes=True), add_run(store, 3)
    feed(store, connection)
    assert waiting(connection) == by_turns(watched, newer) + left


def test_rows_without_a_batch_take_turns_as_one_run(store: Store, connection: Redis) -> None:
    """Single jobs neither wait for folders nor go ahead of them."""
    run = add_run(store, 3)
    single = [make_job(str(number)) for number in range(3)]
    store.add(single)
    feed(store, connection)
    assert waiting(connection) == by_turns(run, [job.id for job in single])


@both_databases
def test_places_decide_within_a_run(store: Store, connection: Redis) -> None:
    """Also across pages, and jobs with the same place go in the order in which they were made."""
    batch = Batch(description="pictures", model="demo")
    store.add_batch(batch)
    jobs = [make_job(str(number), batch) for number in range(40)]
    for number, job in enumerate(jobs):
        job.output, job.position = None, 20 - number // 2
    store.add(jobs)
    feed(store, connection)
    assert waiting(connection) == [job.id for job in sorted(jobs, key=lambda job: (job.position, job.id))]


def test_redis_does_not_grow_with_the_rows(store: Store, connection: Redis) -> None:
    """The lane is a window; its entries are those that rq itself would make."""
    add_run(store, 2000)
    feed(store, connection)
    assert len(waiting(connection)) == feeding.ENTRIES_A_WORKER
    assert len(connection.keys("*")) < feeding.ENTRIES_A_WORKER + 10
    fed = Entry.key_for(waiting(connection)[0])
    push(connection, Lane.INTERACTIVE, ["job_pushed"])
    assert connection.hgetall(fed).keys() == connection.hgetall(Entry.key_for("job_pushed")).keys()
    assert connection.smembers("rq:queues") == {b"rq:queue:bulk", b"rq:queue:interactive"}


@pytest.mark.parametrize("lost", ["everything", "the hashes", "the list"])
def test_a_flushed_broker_is_fed_again(store: Store, connection: Redis, lost: str) -> None:
    """The rows are the queue: the lane is what it was."""
    ids = add_run(store, 100)
    feed(store, connection)
    finish(store, connection, 10)
    if lost == "everything":
        connection.flushall()
    else:
        connection.delete(*connection.keys("rq:job:*" if lost == "the hashes" else "rq:queue:bulk"))
    Feeder(store, connection).feed()
    assert [entry.id for entry, _ in take(connection, lanes(connection), 50)] == ids[10:60]


def test_stale_and_foreign_entries_are_swept_out(store: Store, connection: Redis) -> None:
    """Entries of cancelled jobs and of other programs go, with their hashes."""
    ids = add_run(store, 4)
    feed(store, connection)
    push(connection, Lane.BULK, ["job_foreign"])
    store.cancel(ids[1:2])
    feed(store, connection)
    assert [job_id for job_id in ids if job_id in waiting(connection)] == [ids[0], *ids[2:]]
    assert not connection.exists(Entry.key_for(ids[1]), Entry.key_for("job_foreign"))


def test_entries_that_are_taken_or_put_off_are_not_made_again(store: Store, connection: Redis) -> None:
    """An id in the intermediate list or in the scheduled registry has its entry."""
    ids = add_run(store, 3)
    feed(store, connection)
    (entry, queue), _ = take(connection, lanes(connection), 2)
    with connection.pipeline() as pipeline:
        put_off(entry, lane_queue(connection, Lane.BULK), 60, pipeline)
        pipeline.lrem(queue.intermediate_queue_key, 1, entry.id)
        pipeline.execute()
    feed(store, connection)
    assert waiting(connection) == ids[2:]


def test_a_worker_tops_the_lane_up_when_it_runs_low(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, and not again when every row has its entry."""
    ids = add_run(store, 100)
    feeder = Feeder(store, connection)
    feeder.top_up()
    assert len(waiting(connection)) == 64
    monkeypatch.setattr(feeding, "LOOK_EVERY", 0.0)
    finish(store, connection, 10)
    feeder.top_up()
    assert len(waiting(connection)) == 54
    finish(store, connection, 54)
    feeder.top_up(ran_dry=True)
    assert waiting(connection) == ids[64:]
    fed: list[None] = []
    monkeypatch.setattr(Feeder, "feed", lambda *_: fed.append(None))
    feeder.top_up(ran_dry=True)
    assert fed == []
    # Another process has committed rows, and died before it could feed them: its call is heard. Without a call nothing is.
    finish(store, connection, 30)
    connection.incr("captionq:feeding:calls")
    feeder.top_up(ran_dry=True)
    assert fed == [None]


def test_rows_that_come_while_another_process_feeds_are_fed(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that has the lock looks again before it leaves."""
    first = add_run(store, 1)
    later: list[str] = []
    arrange: Callable[[Feeder, str, int, str | None], bool] = Feeder._arrange

    def slowly(feeder: Feeder, token: str, left: int, last_turn: str | None) -> bool:
        is_all = arrange(feeder, token, left, last_turn)
        if not later:
            later.extend(add_run(store, 1))
            enqueue(store, connection, Lane.BULK, later)
            assert waiting(connection) == first
        return is_all

    monkeypatch.setattr(Feeder, "_arrange", slowly)
    feed(store, connection)
    assert waiting(connection) == by_turns(first, later)
    assert connection.exists("captionq:feeding") == 0


def test_a_feeder_that_loses_its_lock_to_a_recovery_begins_again(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the only one that knows of a change: a recovery without waiting rows does not feed."""
    ids = add_run(store, 1)
    arrange: Callable[[Feeder, str, int, str | None], bool] = Feeder._arrange
    rounds: list[bool] = []

    def slowly(feeder: Feeder, token: str, left: int, last_turn: str | None) -> bool:
        if not rounds:
            end_feeding(connection)
        rounds.append(arrange(feeder, token, left, last_turn))
        return rounds[-1]

    monkeypatch.setattr(Feeder, "_arrange", slowly)
    feed(store, connection)
    assert rounds == [False, True]
    assert waiting(connection) == ids
    assert connection.exists("captionq:feeding") == 0


@both_databases
def test_feeders_and_workers_race_without_loss(store: Store, connection: Redis) -> None:
    """Three workers and three commands at once: each row is claimed once, and none is left."""
    claimed: Counter[str] = Counter()
    done, guard = threading.Event(), threading.Lock()
    commands = 3

    def work(_: int) -> None:
        feeder = Feeder(store, connection)
        while not (done.is_set() and not waiting(connection)):
            taken = [entry.id for entry, _ in take(connection, lanes(connection), 5)]
            feeder.top_up(ran_dry=len(taken) < 5)
            jobs = store.claim(taken, "worker")
            with guard:
                claimed.update(jobs.keys())
            for job_id in taken:
                connection.lrem(lane_queue(connection, Lane.BULK).intermediate_queue_key, 1, job_id)
            if done.is_set():
                feeder.feed()

    def command(_: int) -> list[str]:
        ids: list[str] = []
        for number in range(4):
            ids += (new := add_run(store, 50))
            enqueue(store, connection, Lane.BULK, new, more=number > 0)
        return ids

    with ThreadPoolExecutor(2 * commands) as threads:
        working = [threads.submit(work, number) for number in range(3)]
        made = [job_id for ids in threads.map(command, range(commands)) for job_id in ids]
        done.set()
        for one in working:
            one.result()
    assert claimed == Counter(made)


@both_databases
def test_the_queue_is_read_by_its_index(store: Store) -> None:
    """A million ended rows, or a million waiting rows of one run, cost a feeder nothing."""
    add_batch(store, 3)
    explain = "EXPLAIN QUERY PLAN" if store.engine.dialect.name == "sqlite" else "EXPLAIN"
    queries = (
        "SELECT position, id FROM job WHERE job.status = 'queued' AND lane = 'bulk' AND batch_id = 'b' "
        "AND (position, id) > (1, 'a') ORDER BY position, id LIMIT 9",
        "SELECT batch_id FROM job WHERE job.status = 'queued' AND lane = 'bulk' AND batch_id > 'b' "
        "ORDER BY batch_id LIMIT 1",
    )
    with reading(store.engine) as connection:
        if store.engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        for query in queries:
            plan = "\n".join(str(row) for row in connection.execute(text(f"{explain} {query}")))
            assert "job_waiting" in plan, plan
            assert "SORT" not in plan.upper().replace("TEMP B-TREE", "SORT"), plan
        assert len(waiting_runs(connection, Lane.BULK)) == 1
