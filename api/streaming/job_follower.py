"""Following one job to its end: its updates as they come, then its row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from api.runtime.subscription import StatusChange, Subscription
from api.streaming.sse import HEARTBEAT
from jobs.errors import LeavingError
from jobs.queue.events import Event
from jobs.store.store import Store
from jobs.store.tables import OPEN, Job


@dataclass(frozen=True)
class IdleTick:
    """A heartbeat's time without any other update."""


#: An update about a followed job. `Job`: the job has ended, and this is its row.
JobUpdate = Event | StatusChange | IdleTick | Job


async def follow_job(
    store: Store, subscription: Subscription, *, heartbeat: float = HEARTBEAT
) -> AsyncIterator[JobUpdate]:
    """Yield the updates of a job, and its row at the end.

    Args:
        heartbeat: seconds without an update after which an `IdleTick` is yielded.

    Raises:
        LeavingError: the server stops, and the client cannot resume. For a resumable subscription the iteration ends.
    """
    while True:
        try:
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with an update.
            async with asyncio.timeout(heartbeat):
                update = await subscription.updates.get()
        except TimeoutError:
            yield IdleTick()
            continue
        if update is None:
            if subscription.is_resumable:
                return
            raise LeavingError(
                "The server is shutting down. The job resumes after the restart: "
                f"get its result from GET /v1/jobs/{subscription.job_id}."
            )
        if _may_be_the_end(update):
            job = await run_in_threadpool(store.job, subscription.job_id)
            if job.status not in OPEN:
                yield job
                return
        else:
            yield update


async def wait_for_end(store: Store, subscription: Subscription) -> Job:
    """Wait until a job has ended, and return its row. Raises LeavingError."""
    async for update in follow_job(store, subscription):
        if isinstance(update, Job):
            return update
    raise AssertionError("only resumable subscriptions end without a row")  # pragma: no cover


def _may_be_the_end(update: Event | StatusChange) -> bool:
    return update.status not in OPEN if isinstance(update, StatusChange) else update.name == "ended"
