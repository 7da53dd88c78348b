"""The event hub: the only reader of all events."""

from __future__ import annotations

import asyncio
import time

from redis import Redis

from api.runtime.event_hub import ROW_CHECK_EVERY, EventHub
from api.runtime.subscription import StatusChange
from jobs.queue.events import Event, publish
from jobs.store.store import Store
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
