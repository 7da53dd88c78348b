"""The events of one job, as a client sees them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from api.runtime.event_hub import Look, Subscription
from api.runtime.resources import Resources
from api.schemas.job import job_object
from api.streaming.job_follower import HEARTBEAT, JobEvent, follow
from api.streaming.sse import HEARTBEAT_COMMENT, event_bytes
from jobs.creation.backpressure import rate_of
from jobs.models.model_info import public_name
from jobs.queue import lanes
from jobs.queue.events import Event
from jobs.store.tables import Job, JobStatus, Lane

#: The id of the last event: who has it has had everything.
END = "end"
#: Ids are those of the stream in Redis, two numbers of 64 bits, and `END`.
EVENT_ID = r"^(\d{1,19}(-\d{1,19})?|end)$"
#: Seconds between two looks at a waiting job's place in the queue.
POSITION_EVERY = 2.0


async def job_events(job: Job, resources: Resources, subscription: Subscription) -> AsyncIterator[bytes]:
    """From the event after the subscription's to the result. Each has the id after which it can be resumed."""
    told = _Told(job, subscription.after)
    for piece in told.beginning():
        yield piece
    spoke_at = time.monotonic()
    async for news in follow(resources, subscription, heartbeat=POSITION_EVERY):
        pieces = told.pieces(news)
        if not pieces and told.status == JobStatus.QUEUED:
            pieces = await run_in_threadpool(_position, job, resources, told.last_id)
        elif not pieces and time.monotonic() - spoke_at > HEARTBEAT:
            pieces = [HEARTBEAT_COMMENT]
        for piece in pieces:
            yield piece
            spoke_at = time.monotonic()


class _Told:
    """What one client has been told of a job."""

    def __init__(self, job: Job, after: str) -> None:
        self._is_new = after == "0"
        #: The attempt that speaks, and how many characters of it were told; None: not known yet.
        self._place: tuple[int, int] | None = None
        self.last_id = after
        #: A client that comes back knows where the job was; for a new one the stream or the row tells.
        self.status = None if self._is_new and job.status != JobStatus.QUEUED else job.status

    def beginning(self) -> list[bytes]:
        waits = self._is_new and self.status == JobStatus.QUEUED
        return [_event("state", {"status": JobStatus.QUEUED}, self.last_id)] if waits else []

    def pieces(self, news: JobEvent) -> list[bytes]:
        match news:
            case Job():
                return [_event("result", job_object(news).model_dump(), END)]
            case Event():
                self.last_id = news.id
                return self._of_stream(news)
            case Look() if news.status != self.status:
                # Of a job whose events are not published, or that goes back to its lane.
                self.status = news.status
                return [_event("state", {"status": news.status}, self.last_id)]
            case _:
                return []

    def _of_stream(self, news: Event) -> list[bytes]:
        if news.name in ("running", "restart"):
            self.status = JobStatus.RUNNING
        match news.name:
            case "running":
                return [_event("state", {"status": JobStatus.RUNNING, **news.data}, news.id)]
            case "loading" | "loaded":
                return [_event(news.name, {**news.data, "model": public_name(news.data["model"])}, news.id)]
            case "tokens" if not self._is_next(news.data):
                return []
            case _:
                return [_event(news.name, news.data, news.id)]

    def _is_next(self, data: dict[str, Any]) -> bool:
        """Whether this text follows on what was told: it may come twice, and behind a lost part only the result helps."""
        if self._place is not None and self._place[0] == data["attempt"] and self._place[1] != data["at"]:
            return False
        self._place = data["attempt"], data["at"] + len(data["text"])
        return True


def _position(job: Job, resources: Resources, last_id: str) -> list[bytes]:
    """How many go before it, and for how many seconds they will take."""
    try:
        ahead = lanes.ahead_of(resources.connection, job.lane, job.id)
        rate = rate_of(resources.workers(), Lane(job.lane))
    except RedisError:
        return []
    if ahead is None:
        return []
    left = None if rate is None else round((ahead + 1) / rate, 1)
    return [_event("position", {"ahead": ahead, "seconds_left": left}, last_id)]


def _event(name: str, data: object, id_: str) -> bytes:
    return event_bytes(data, event=name, id_=id_)
