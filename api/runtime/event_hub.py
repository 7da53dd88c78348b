"""One reader of all events for the whole process: whoever follows a job gets them from here.

A connection that waits for each stream would be one file descriptor a client; one thread waits for all of them, and looks
after the rows besides: the row says what became of a job, the stream only tells sooner.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from jobs.errors import TooManyStreamsError
from jobs.queue.events import Event, read_many, wake
from jobs.queue.worker_state import live_workers
from jobs.store.store import Store
from jobs.store.tables import JobStatus

logger = logging.getLogger("captionq.api")

#: Seconds between two looks at the rows of all jobs that are followed, and for the workers.
LOOK_EVERY = 1.0
#: Seconds until a broker that is away is asked again.
AWAY_PAUSE = 0.5


@dataclass(frozen=True)
class Look:
    """What the row of a job says: sent when it has changed, and at the beginning."""

    status: JobStatus


@dataclass(eq=False)
class Subscription:
    """One follower of one job. What comes for it lies in `news`, in order; None: the process is about to end."""

    job_id: str
    #: The event that it has had last.
    after: str
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue[Event | Look | None] = field(default_factory=asyncio.Queue)
    status: JobStatus | None = None
    #: Whether it goes when the process has been asked to end: its client comes back. Others get their answers first.
    leaves: bool = False

    def put(self, item: Event | Look | None) -> None:
        """From any thread. A follower whose loop has ended wants nothing any more."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.news.put_nowait, item)


class EventHub:
    """Reads events and rows for all followers, in a thread of its own."""

    def __init__(self, store: Store, connection: Redis, most: int) -> None:
        self._store = store
        self._connection = connection
        self._most = most
        self._subscriptions: set[Subscription] = set()
        self._places = 0
        self._is_leaving = False
        self._has_given_up = False
        #: Since when no worker has been seen by those who follow; None: there is one, or nobody has looked.
        self._alone_since: float | None = None
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._wake_key = f"hub-{uuid4().hex}"
        self._woken = "0"
        self._look_due = 0.0
        self._workers_due = 0.0
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End; nobody follows any more."""
        self._closed.set()
        self._wake()
        self._thread.join()

    def let_go(self) -> None:
        """The process will end: there is nothing more here for those that can come back to another one."""
        # A signal's handler may interrupt the loop anywhere: hence a lock that its own thread may take again.
        self._is_leaving = True
        for one in self._snapshot():
            if one.leaves:
                one.put(None)

    def give_up(self) -> None:
        """The process ends now: there will be no more answers here."""
        self._has_given_up = True
        for one in self._snapshot():
            one.put(None)

    @property
    def alone_for(self) -> float:
        """Seconds for which no worker has lived, while somebody followed."""
        return 0.0 if self._alone_since is None else time.monotonic() - self._alone_since

    @property
    def followers(self) -> int:
        return self._places

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the streams that may be open at a time. Raises TooManyStreamsError."""
        if self._places >= self._most:
            raise TooManyStreamsError(f"{self._most} streams are open (CAPTIONQ_MAX_STREAMS). Close one first.", 1.0)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    @contextmanager
    def follow(self, job_id: str, after: str = "0", *, leaves: bool = False) -> Iterator[Subscription]:
        """Events of a job after the one of this id, as they come. To be called on the loop; raises TooManyStreamsError."""
        subscription = Subscription(job_id, after, asyncio.get_running_loop(), leaves=leaves)
        with self.place():
            with self._lock:
                self._subscriptions.add(subscription)
            if self._has_given_up or (leaves and self._is_leaving):
                subscription.put(None)
            self._look_due = 0.0
            subscription.loop.run_in_executor(None, self._wake)
            try:
                yield subscription
            finally:
                with self._lock:
                    self._subscriptions.discard(subscription)

    def _wake(self) -> None:
        """End the thread's wait: there is somebody new."""
        try:
            wake(self._connection, self._wake_key)
        except RedisError as error:
            logger.warning("The broker is away (%s).", error)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                changed = self._changed()
                try:
                    self._deliver(wait=0.0 if changed else LOOK_EVERY)
                except RedisError as error:
                    logger.warning("The broker is away (%s): followers see rows alone.", error)
                    self._closed.wait(AWAY_PAUSE)
                for subscription, status in changed:
                    # After the events that came before it.
                    subscription.status = status
                    subscription.put(Look(status))
            except Exception:
                logger.exception("The events could not be read.")
                self._closed.wait(AWAY_PAUSE)

    def _changed(self) -> list[tuple[Subscription, JobStatus]]:
        """Followers whose job's row has another status than they know of."""
        now = time.monotonic()
        if now < self._look_due:
            return []
        self._look_due = now + LOOK_EVERY
        subscriptions = self._snapshot()
        self._look_for_workers(now, needed=bool(subscriptions))
        statuses = self._store.statuses(sorted({one.job_id for one in subscriptions})) if subscriptions else {}
        return [
            (one, status)
            for one in subscriptions
            if (status := statuses.get(one.job_id)) is not None and status != one.status
        ]

    def _look_for_workers(self, now: float, *, needed: bool) -> None:
        if not needed:
            self._alone_since = None
            return
        # A due time of its own: unlike the rows, they need not be looked for whenever somebody comes.
        if now < self._workers_due:
            return
        self._workers_due = now + LOOK_EVERY
        try:
            if live_workers(self._connection):
                self._alone_since = None
            elif self._alone_since is None:
                self._alone_since = now
        except RedisError:
            # They may live.
            self._alone_since = None

    def _deliver(self, wait: float) -> None:
        """Hand out what comes within so many seconds."""
        followers: dict[str, list[Subscription]] = {}
        for one in self._snapshot():
            followers.setdefault(one.job_id, []).append(one)
        # The earliest position of all who follow the same job: the others pass over what they have had.
        positions = {job_id: min((one.after for one in those), key=_order) for job_id, those in followers.items()}
        positions[self._wake_key] = self._woken
        for job_id, events in read_many(self._connection, positions, wait=wait).items():
            if job_id == self._wake_key:
                self._woken = events[-1].id
            for one in followers.get(job_id, []):
                for event in events:
                    if _order(event.id) > _order(one.after):
                        one.after = event.id
                        one.put(event)

    def _snapshot(self) -> list[Subscription]:
        with self._lock:
            return list(self._subscriptions)


def _order(event_id: str) -> tuple[int, int]:
    """Redis' order of stream ids, which are `milliseconds-number`."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
