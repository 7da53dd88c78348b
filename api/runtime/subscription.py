"""One client's subscription to one job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from jobs.queue.events import Event
from jobs.store.tables import JobStatus


@dataclass(frozen=True)
class StatusChange:
    """The status in a job's row: published when it has changed, and once at the beginning."""

    status: JobStatus


@dataclass(eq=False)
class Subscription:
    """A queue of updates about one job. None in the queue: the server is stopping."""

    job_id: str
    #: The id of the last event that was put into the queue.
    after: str
    loop: asyncio.AbstractEventLoop
    updates: asyncio.Queue[Event | StatusChange | None] = field(default_factory=asyncio.Queue)
    status: JobStatus | None = None
    #: Whether the client can come back: its stream ends as soon as the server is asked to stop. Other clients still get their
    #: answers.
    is_resumable: bool = False
    #: The newest attempt of the job that an event came from.
    _attempt: int = 0

    def put_event(self, event: Event) -> None:
        """Add an event, unless its attempt is over: a worker that was suspended may still publish one when it wakes up."""
        self.after = event.id
        attempt = event.data.get("attempt", self._attempt)
        if attempt >= self._attempt:
            self._attempt = attempt
            self.put(event)

    def put(self, update: Event | StatusChange | None) -> None:
        """Add an update, from any thread. A subscription whose loop has ended takes none."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.updates.put_nowait, update)
