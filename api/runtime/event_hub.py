"""The process's only reader of events and rows: clients that follow a job subscribe here.

With a blocking connection for each stream, every client would cost a file descriptor; here one thread waits for all of them.
It also reads the rows of the followed jobs: the row decides, events only come sooner.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from api.errors.retry_after import RETRY_STREAM
from api.runtime.subscription import StatusChange, Subscription
from jobs.errors import TooManyStreamsError
from jobs.queue.events import forget, read_many, wake
from jobs.queue.worker_state import live_workers
from jobs.store.databases.passing_faults import log_failure
from jobs.store.store import Store
from jobs.store.tables import JobStatus

logger = logging.getLogger("captionq.api")

#: Seconds between two reads of the followed jobs' rows, and between two checks for live workers.
ROW_CHECK_EVERY = 1.0
#: Seconds until a broker that is away is asked again.
BROKER_RETRY_PAUSE = 0.5


class EventHub:
    """Reads events and rows for all subscriptions, in a thread of its own."""

    def __init__(self, store: Store, connection: Redis, max_streams: int) -> None:
        self._store = store
        self._connection = connection
        self._max_streams = max_streams
        self._subscriptions: set[Subscription] = set()
        self._open_streams = 0
        self._is_draining = False
        self._has_stopped = False
        self._is_broker_away = False
        #: Monotonic time since which no live worker has been seen; None: a worker lives, or no client follows a job.
        self._no_worker_since: float | None = None
        # Reentrant: a signal's handler may interrupt the loop's thread while it holds the lock.
        self._lock = threading.RLock()
        self._closed = threading.Event()
        #: Set while a client follows a job. Without one, nothing is read.
        self._is_followed = threading.Event()
        self._wake_key = f"hub-{uuid4().hex}"
        self._row_check_due = 0.0
        self._worker_check_due = 0.0
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread. No subscription may be left."""
        self._closed.set()
        self._is_followed.set()
        self._wake()
        self._thread.join()

    def end_event_streams(self) -> None:
        """End the streams whose clients can resume elsewhere: the server is going to stop."""
        self._is_draining = True
        for subscription in self._snapshot():
            if subscription.is_resumable:
                subscription.put(None)

    def end_all_streams(self) -> None:
        """End every stream: the server stops now."""
        self._has_stopped = True
        for subscription in self._snapshot():
            subscription.put(None)

    @property
    def seconds_without_worker(self) -> float:
        """Seconds for which no worker has lived while clients followed jobs."""
        return 0.0 if self._no_worker_since is None else time.monotonic() - self._no_worker_since

    @property
    def open_streams(self) -> int:
        return self._open_streams

    @contextmanager
    def stream_slot(self) -> Iterator[None]:
        """Reserve one of `max_streams` slots for the block. Raises TooManyStreamsError."""
        if self._open_streams >= self._max_streams:
            raise TooManyStreamsError(
                f"{self._max_streams} streams are open already (CAPTIONQ_MAX_STREAMS). Close one first.", RETRY_STREAM
            )
        self._open_streams += 1
        try:
            yield
        finally:
            self._open_streams -= 1

    @contextmanager
    def follow(
        self, job_id: str, after: str = "0", *, is_resumable: bool = False, is_new: bool = False
    ) -> Iterator[Subscription]:
        """Subscribe to the events of a job after this id. Call it on the event loop.

        `is_new`: the job was queued just now; of others the row is read at once.

        Raises TooManyStreamsError.
        """
        status = JobStatus.QUEUED if is_new else None
        loop = asyncio.get_running_loop()
        subscription = Subscription(job_id, after, loop, status=status, is_resumable=is_resumable)
        with self.stream_slot():
            with self._lock:
                self._subscriptions.add(subscription)
                self._is_followed.set()
            if self._has_stopped or (is_resumable and self._is_draining):
                subscription.put(None)
            if not is_new:
                self._row_check_due = 0.0
            subscription.loop.run_in_executor(None, self._wake)
            try:
                yield subscription
            finally:
                with self._lock:
                    self._subscriptions.discard(subscription)
                    if not self._subscriptions and not self._closed.is_set():
                        self._is_followed.clear()

    def _wake(self) -> None:
        """End the thread's blocking read, so that a new subscription is served at once."""
        try:
            wake(self._connection, self._wake_key)
        except RedisError as error:
            logger.warning("The broker is away (%s).", error)

    def _run(self) -> None:
        while not self._closed.is_set():
            if not self._is_followed.is_set():
                self._no_worker_since = None
                self._is_followed.wait()
            try:
                changed = self._changed_rows()
                try:
                    self._deliver_events(wait=0.0 if changed else ROW_CHECK_EVERY)
                    self._is_broker_away = False
                except RedisError as error:
                    if not self._is_broker_away:
                        logger.warning("The broker is away (%s): clients see only rows.", error)
                    self._is_broker_away = True
                    self._closed.wait(BROKER_RETRY_PAUSE)
                for subscription, status in changed:
                    # After the events that led to this status.
                    subscription.status = status
                    subscription.put(StatusChange(status))
            except Exception:
                log_failure(logger, "The events could not be read.")
                self._closed.wait(BROKER_RETRY_PAUSE)

    def _changed_rows(self) -> list[tuple[Subscription, JobStatus]]:
        """Return the subscriptions whose job has another status in its row than was published, with the new status."""
        now = time.monotonic()
        if now < self._row_check_due:
            return []
        self._row_check_due = now + ROW_CHECK_EVERY
        subscriptions = self._snapshot()
        self._check_workers(now, needed=bool(subscriptions))
        job_ids = sorted({subscription.job_id for subscription in subscriptions})
        statuses = self._store.statuses(job_ids) if job_ids else {}
        return [
            (subscription, status)
            for subscription in subscriptions
            if (status := statuses.get(subscription.job_id)) is not None and status != subscription.status
        ]

    def _check_workers(self, now: float, *, needed: bool) -> None:
        if not needed:
            self._no_worker_since = None
            return
        # Workers have a due time of their own: unlike the rows, they are not read whenever a client comes.
        if now < self._worker_check_due:
            return
        self._worker_check_due = now + ROW_CHECK_EVERY
        try:
            if live_workers(self._connection):
                self._no_worker_since = None
            elif self._no_worker_since is None:
                self._no_worker_since = now
        except RedisError:
            # Unknown: workers may live.
            self._no_worker_since = None

    def _deliver_events(self, wait: float) -> None:
        """Put new events into the queues of their subscriptions; `wait`: seconds to wait for the first."""
        by_job: dict[str, list[Subscription]] = {}
        for subscription in self._snapshot():
            by_job.setdefault(subscription.job_id, []).append(subscription)
        # Read from the earliest position of a job's subscriptions; the others skip the events that they have had.
        positions = {job_id: min((one.after for one in group), key=_order) for job_id, group in by_job.items()}
        positions[self._wake_key] = "0"
        for job_id, events in read_many(self._connection, positions, wait=wait).items():
            if job_id == self._wake_key:
                # Not read on from its last id: after the clock was set back, new ids are smaller. Whoever woke this thread in
                # between has subscribed before.
                forget(self._connection, self._wake_key)
            for subscription in by_job.get(job_id, []):
                for event in events:
                    if _order(event.id) > _order(subscription.after):
                        subscription.put_event(event)

    def _snapshot(self) -> list[Subscription]:
        with self._lock:
            return list(self._subscriptions)


def _order(event_id: str) -> tuple[int, int]:
    """Return the sort key of a Redis stream's id, which is `milliseconds-number`."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
