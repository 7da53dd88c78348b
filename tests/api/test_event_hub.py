"""The one reader of all events."""

from __future__ import annotations

import asyncio
import time

from redis import Redis

from api.runtime.event_hub import LOOK_EVERY, EventHub, Look
from jobs.store.store import Store
from tests.support.rows import make_job


def test_who_comes_to_follow_does_not_make_it_look_for_workers(store: Store, connection: Redis) -> None:
    """Each is told at once what the row says; what the workers say of themselves is read once a second, and it is long."""
    job = make_job()
    store.add([job])
    hub = EventHub(store, connection, most=100)

    async def come_and_go() -> None:
        for _ in range(30):
            with hub.follow(job.id) as subscription:
                while not isinstance(await subscription.news.get(), Look):
                    pass

    began = time.monotonic()
    hub.start()
    try:
        asyncio.run(come_and_go())
        calls = connection.info("commandstats")["cmdstat_smembers"]["calls"]
    finally:
        hub.close()
    assert calls <= 1 + (time.monotonic() - began) / LOOK_EVERY
