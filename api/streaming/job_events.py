"""The event stream of one job, as clients see it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from api.runtime.resources import Resources
from api.runtime.subscription import StatusChange, Subscription
from api.schemas.job import job_object
from api.streaming.job_follower import JobUpdate, follow_job
from api.streaming.sse import HEARTBEAT, HEARTBEAT_COMMENT, EventStream, event_bytes
from jobs.models.model_info import public_name
from jobs.queue.events import Event
from jobs.queue.positions import ahead_of
from jobs.queue.worker_state import rate_of
from jobs.store.tables import Job, JobStatus, Lane

#: The id of the last event. A client that has it has had every event.
END = "end"
#: Pattern of event ids: those of the stream in Redis, two numbers of 64 bits, and `END`.
EVENT_ID = r"^(\d{1,19}(-\d{1,19})?|end)$"
#: Seconds between two `position` events of a waiting job.
POSITION_EVERY = 2.0


async def job_events(job: Job, resources: Resources, subscription: Subscription) -> AsyncIterator[bytes]:
    """Yield the events after the subscription's position, up to the result. A client resumes after any event's id."""
    published = _PublishedEvents(job, subscription.after)
    for piece in published.opening():
        yield piece
    sent_at = time.monotonic()
    async for update in follow_job(resources.store, subscription, heartbeat=POSITION_EVERY):
        pieces = published.pieces(update)
        if not pieces and published.status == JobStatus.QUEUED:
            pieces = await run_in_threadpool(_position, job, resources, published.last_id)
        elif not pieces and time.monotonic() - sent_at > HEARTBEAT:
            pieces = [HEARTBEAT_COMMENT]
        for piece in pieces:
            yield piece
            sent_at = time.monotonic()


def event_stream(job: Job, resources: Resources, after: str) -> EventStream:
    """Return the response with the events after this event's id; "0": all of them. Raises TooManyStreamsError."""
    subscribed = ExitStack()
    subscription = subscribed.enter_context(resources.hub.follow(job.id, after, is_resumable=True))

    async def at_end() -> None:
        subscribed.close()

    return EventStream(job_events(job, resources, subscription), at_end=at_end, error_name="error")


class _PublishedEvents:
    """The events of a job that one client has been sent, and which of its updates are new to that client."""

    def __init__(self, job: Job, after: str) -> None:
        self._is_new_client = after == "0"
        #: By event (such as `tokens`) and answer the attempt whose text was sent last, and how many of its characters.
        self._text_positions: dict[tuple[str, int], tuple[int, int]] = {}
        self.last_id = after
        #: The status that the client knows. A client that resumes knows the row's; a new one is sent it.
        self.status = None if self._is_new_client and job.status != JobStatus.QUEUED else job.status

    def opening(self) -> list[bytes]:
        """Return the first event of a new client whose job waits."""
        is_waiting = self._is_new_client and self.status == JobStatus.QUEUED
        return [_event("state", {"status": JobStatus.QUEUED}, self.last_id)] if is_waiting else []

    def pieces(self, update: JobUpdate) -> list[bytes]:
        """Return the events that publish this update."""
        match update:
            case Job():
                return [_event("result", job_object(update).model_dump(), END)]
            case Event():
                self.last_id = update.id
                return self._of_event(update)
            case StatusChange() if update.status != self.status:
                # The job has no events of its own, or goes back to its lane.
                self.status = update.status
                return [_event("state", {"status": update.status}, self.last_id)]
            case _:
                return []

    def _of_event(self, event: Event) -> list[bytes]:
        if event.name in ("running", "restart"):
            self.status = JobStatus.RUNNING
        match event.name:
            case "running":
                return [_event("state", {"status": JobStatus.RUNNING, **event.data}, event.id)]
            case "loading" | "checking" | "loaded":
                return [_event(event.name, {**event.data, "model": public_name(event.data["model"])}, event.id)]
            case "tokens" | "thoughts" | "calls" if not self._continues_text(event):
                return []
            case _:
                return [_event(event.name, event.data, event.id)]

    def _continues_text(self, event: Event) -> bool:
        """Tell whether this text follows the text sent last. Text may come twice; after a gap only the result helps."""
        data, stream = event.data, (event.name, event.data.get("choice", 0))
        expected = self._text_positions.get(stream)
        if expected is not None and expected[0] == data["attempt"] and expected[1] != data["at"]:
            return False
        self._text_positions[stream] = data["attempt"], data["at"] + len(data["text"])
        return True


def _position(job: Job, resources: Resources, last_id: str) -> list[bytes]:
    """Return the event with the number of jobs ahead, and the seconds until the job's turn is over."""
    try:
        ahead = ahead_of(resources.store, resources.connection, job)
        rate = rate_of(resources.workers(), Lane(job.lane))
    except RedisError:
        return []
    if ahead is None:
        return []
    left = None if rate is None else round((ahead + 1) / rate, 1)
    return [_event("position", {"ahead": ahead, "seconds_left": left}, last_id)]


def _event(name: str, data: object, id_: str) -> bytes:
    return event_bytes(data, event=name, id_=id_)
