"""The event hub: the only reader of all events."""

from __future__ import annotations

import asyncio
import time

from redis import Redis

from api.runtime.event_hub import ROW_CHECK_EVERY, EventHub
from api.runtime.subscription import StatusChange
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
