"""The event hub: the only reader of all events."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis import ConnectionPool, Redis

from api.runtime import event_hub
from api.runtime.event_hub import ROW_CHECK_EVERY, EventHub
from api.runtime.subscription import StatusChange
from jobs.queue import events
from jobs.queue.events import Event, publish
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import until
from tests.support.rows import make_job


def test_a_new_subscription_does_not_make_the_hub_read_the_workers(store: Store, connection: Redis) -> None:
    """A subscription gets the row's status at once; the workers' states are long, and read only once a second."""
    job = make_job()
    store.add([job])
    hub = EventHub(store, connection, max_streams=100)

    async def subscribe_often() -> None:
        for _ in range(30):
            with hub.follow(job.id) as subscription:
                while not isinstance(await subscription.updates.get(), StatusChange):
                    pass

    began = time.monotonic()
    hub.start()
    try:
        asyncio.run(subscribe_often())
        calls = connection.info("commandstats")["cmdstat_smembers"]["calls"]
    finally:
        hub.close()
    assert calls <= 1 + (time.monotonic() - began) / ROW_CHECK_EVERY


def test_the_row_of_a_new_job_is_not_read_at_once(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events say what happens to it; the rows of others are read when a client comes."""
    monkeypatch.setattr(event_hub, "ROW_CHECK_EVERY", 60.0)
    read: list[list[str]] = []
    statuses = store.statuses

    def noted(ids: list[str]) -> dict[str, JobStatus]:
        read.append(ids)
        return statuses(ids)

    monkeypatch.setattr(store, "statuses", noted)
    jobs = [make_job(name) for name in "abc"]
    store.add(jobs)
    hub = EventHub(store, connection, max_streams=100)

    async def follow() -> None:
        with hub.follow(jobs[0].id) as first:
            assert await first.updates.get() == StatusChange(JobStatus.QUEUED)
            with hub.follow(jobs[1].id, is_new=True) as second:
                await asyncio.to_thread(publish, connection, [Event(jobs[1].id, "running", {"attempt": 1})])
                assert isinstance(await second.updates.get(), Event)
            assert read == [[jobs[0].id]]
            with hub.follow(jobs[2].id) as third:
                await third.updates.get()
            assert len(read) == 2

    hub.start()
    try:
        asyncio.run(asyncio.wait_for(follow(), 20))
    finally:
        hub.close()


def test_events_of_an_attempt_that_is_over_reach_no_client(store: Store, connection: Redis) -> None:
    """A worker that was suspended publishes once more after another worker has begun the job again."""
    job = make_job()
    store.add([job])
    said = [("running", 1), ("tokens", 1), ("restart", 2), ("tokens", 1), ("ended", 1), ("tokens", 2)]
    publish(connection, [Event(job.id, name, {"attempt": attempt}) for name, attempt in said])
    hub = EventHub(store, connection, max_streams=100)

    async def heard() -> list[tuple[str, int]]:
        events: list[tuple[str, int]] = []
        with hub.follow(job.id) as subscription:
            while len(events) < 4:
                update = await subscription.updates.get()
                if isinstance(update, Event):
                    events.append((update.name, update.data["attempt"]))
        return events

    hub.start()
    try:
        assert asyncio.run(heard()) == [said[0], said[1], said[2], said[5]]
    finally:
        hub.close()


def test_a_subscription_is_served_at_once_after_the_clock_was_set_back(
    store: Store, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub was woken last by an id from the future; the stream has expired since, and new ids are smaller."""
    monkeypatch.setattr(event_hub, "ROW_CHECK_EVERY", 25.0)
    job = make_job()
    store.add([job])
    # Nothing but a wake ends the hub's wait: not the time limit for an answer either, which is shorter than it.
    pool = connection.connection_pool
    options = pool.connection_kwargs | {"socket_timeout": None}
    patient = Redis.from_pool(ConnectionPool(pool.connection_class, **options))
    hub = EventHub(store, patient, max_streams=100)
    stream = f"{events._PREFIX}{hub._wake_key}"
    fields: dict[Any, Any] = {"event": "wake", "data": "{}"}
    future = f"{int(time.time() + 172_800) * 1000}-0"

    async def first_status() -> None:
        with hub.follow(job.id) as subscription:
            while not isinstance(await subscription.updates.get(), StatusChange):
                pass

    def wake_from_the_future() -> None:
        connection.xadd(stream, fields, id=future)
        until(lambda: not connection.exists(stream) or bool(connection.info("clients")["blocked_clients"]), "the hub")
        connection.delete(stream)

    async def follow_twice() -> None:
        # Without a client the hub reads nothing, also not what wakes it.
        with hub.follow(job.id):
            await asyncio.to_thread(wake_from_the_future)
            await asyncio.wait_for(first_status(), 20)

    hub.start()
    try:
        asyncio.run(follow_twice())
    finally:
        hub.close()
        patient.close()
