"""Answers on their way to a client, within the process of the tests: what a real server shows after a long wait, or by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from api.following import follow
from api.hub import Subscription
from api.request_metrics import RequestMetrics
from api.resources import Resources, open_resources
from jobs.settings import Settings
from jobs.stream import Event


@pytest.fixture
def resources(settings: Settings) -> Iterator[Resources]:
    """What a running API holds, without a server around it."""
    with open_resources(settings, RequestMetrics()) as opened:
        yield opened


@pytest.mark.parametrize("turns", range(6))
def test_who_is_cancelled_while_news_come_follows_no_longer(resources: Resources, turns: int) -> None:
    """However many turns of the loop lie between the news and the cancellation: one that misses it goes on for ever."""

    async def is_cancelled() -> bool:
        subscription = Subscription("job_1", "0", asyncio.get_running_loop())

        async def listen() -> None:
            async for _ in follow(resources, subscription):
                pass

        following = asyncio.create_task(listen())
        await _turns(10)
        subscription.put(Event("1-0", "tokens", {}))
        await _turns(turns)
        following.cancel()
        await _turns(10)
        return following.cancelled()

    assert asyncio.run(is_cancelled())


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
