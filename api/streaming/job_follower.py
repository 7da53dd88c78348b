"""Following one job to its end: its events as they come, then its row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from api.runtime.event_hub import Look, Subscription
from api.runtime.resources import Resources
from jobs.errors import LeavingError
from jobs.queue.events import Event
from jobs.store.tables import OPEN, Job

#: Seconds without news after which whoever writes to a client shows that it is still there.
HEARTBEAT = 15.0


@dataclass(frozen=True)
class Silence:
    """Nothing has happened for a while."""


#: What may be heard of a job.
JobEvent = Event | Look | Silence | Job


async def follow(
    resources: Resources, subscription: Subscription, *, heartbeat: float = HEARTBEAT
) -> AsyncIterator[JobEvent]:
    """What happens to a job, and at last its row, once it has ended.

    When the process is about to end: for a follower that leaves, the end; for any other one LeavingError.
    """
    while True:
        try:
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the news.
            async with asyncio.timeout(heartbeat):
                news = await subscription.news.get()
        except TimeoutError:
            yield Silence()
            continue
        if news is None:
            if subscription.leaves:
                return
            raise LeavingError(
                "The server ends before there is an answer. The job goes on when it is back: "
                f"GET /v1/jobs/{subscription.job_id} will have it."
            )
        ended = news.status not in OPEN if isinstance(news, Look) else news.name == "ended"
        if ended:
            job = await run_in_threadpool(resources.store.job, subscription.job_id)
            if job.status not in OPEN:
                yield job
                return
        else:
            yield news


async def ended(resources: Resources, subscription: Subscription) -> Job:
    """The row of a job, once it has ended. Raises LeavingError."""
    async for news in follow(resources, subscription):
        if isinstance(news, Job):
            return news
    raise AssertionError("only event streams are let go")  # pragma: no cover
