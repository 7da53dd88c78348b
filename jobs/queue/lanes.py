"""The lanes: rq queues whose entries carry a job's id and nothing else.

The row is the job; an entry only brings the job to the worker. So an entry may be lost (the next feeder makes another), may come
twice (the second finds the row claimed) and is never trusted: it is read as JSON, and the worker calls nothing that it names.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.command import send_command
from rq.exceptions import DeserializationError
from rq.job import Job as RQJob
from rq.serializers import JSONSerializer

from jobs.chunks import chunked
from jobs.errors import InvalidRequestError
from jobs.errors.broker_faults import broker_error
from jobs.queue.scripts import TAKE
from jobs.queue.worker_state import worker_names
from jobs.store.tables import Lane

logger = logging.getLogger("captionq.queue")

#: The function that entries name. No such function exists: the worker compares the name and calls its engine.
FUNCTION = "captionq.generate"

#: Maximum number of entries that go to Redis in one round trip.
ENTRIES_A_ROUND_TRIP = 1000

# rq puts an entry whose lease has run out back into its lane while it has retries left; without, rq would call it failed.
_RETRY = Retry(max=1000)


class Entry(RQJob):
    """An rq job that cannot be called: the function that it names is only data."""

    def restore(self, raw_data: dict[Any, Any]) -> None:
        """Read the entry, and drop its callbacks and webhooks: rq would import and call the functions that they name.

        An entry with any of these, or in one of rq's groups or rate limits, is marked `foreign`: captionq uses none of them.
        """
        super().restore(raw_data)
        self.foreign = bool(
            self._success_callback_name
            or self._failure_callback_name
            or self._stopped_callback_name
            or self.webhooks
            or self.repeats_left
            or self.group_id
            or self.rate_limit_key
        )
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        self.repeats_left = None

    def check(self) -> None:
        """Raise InvalidRequestError unless captionq made this entry."""
        try:
            function = self.func_name
        except DeserializationError:
            raise InvalidRequestError(f"The queue entry '{self.id}' cannot be read as JSON and is refused.") from None
        if self.foreign or function != FUNCTION:
            raise InvalidRequestError(f"The queue entry '{self.id}' names the function '{function}' and is refused.")

    def perform(self) -> None:
        raise InvalidRequestError("A queue entry cannot be called.")


@dataclass(frozen=True)
class Entries:
    """Where the entries of a lane are."""

    #: Ids that wait in the lane, in order.
    waiting: list[str]
    #: Ids of entries that are elsewhere: taken by a worker, leased, or put off.
    elsewhere: set[str]


class LaneQueue(Queue):
    """rq queue of one lane."""

    job_class = Entry
    #: The name of the worker that takes entries from the lane; empty: the process is no worker.
    taker = ""
    #: Ids that this worker leaves in the lane for others.
    skipped: Collection[str] = ()
    #: Whether this worker takes no entries from the lane for now.
    closed = False

    @property
    def intermediate_queue_key(self) -> str:
        """The list of the ids that this worker has taken and not begun. No other worker sweeps them."""
        shared: str = super().intermediate_queue_key
        return f"{shared}:{self.taker}" if self.taker else shared

    def taken_ids(self) -> list[str]:
        """Return the ids that this worker has taken and not begun."""
        found: Any = self.connection.lrange(self.intermediate_queue_key, 0, -1)
        return [_text(job_id) for job_id in found]

    def ids(self) -> set[str]:
        """Return the id of every job with an entry in this lane: waiting, just taken, running or put off. Raises RedisError."""
        found = self.find_entries(worker_names(self.connection))
        return {*found.waiting, *found.elsewhere}

    def find_entries(self, workers: Sequence[str]) -> Entries:
        """Read where the entries are, in one step: an entry on its way from one place to the next is in one of them.

        `workers`: the names of those that may have taken some. Raises RedisError.
        """
        with self.connection.pipeline() as pipeline:
            pipeline.lrange(self.key, 0, -1)
            pipeline.zrange(self.started_job_registry.key, 0, -1)
            pipeline.zrange(self.scheduled_job_registry.key, 0, -1)
            for worker in ("", *workers):
                pipeline.lrange(lane_queue(self.connection, self.name, worker).intermediate_queue_key, 0, -1)
            waiting, started, put_off, *lists = pipeline.execute()
        taken = [job_id for ids in lists for job_id in ids]
        # Members of the started registry are `<job>:<execution>`.
        elsewhere = {_text(one).partition(":")[0] for one in (*taken, *started, *put_off)}
        return Entries([_text(one) for one in waiting], elsewhere)


def lanes(connection: Redis, taker: str = "") -> list[LaneQueue]:
    """Return all lanes, in the order in which the worker empties them. `taker`: the worker's name."""
    return [lane_queue(connection, lane, taker) for lane in Lane]


def lane_queue(connection: Redis, lane: str, taker: str = "") -> LaneQueue:
    """Return a lane. `taker`: the name of the worker that takes entries from it."""
    queue = LaneQueue(lane, connection=connection, serializer=JSONSerializer)
    queue.taker = taker
    return queue


def take(connection: Redis, queues: Sequence[Queue], most: int) -> list[tuple[Entry, Queue]]:
    """Take up to `most` entries in one round trip: from the first lane as long as it has any, then from the next.

    The ids stay in their lanes' intermediate lists. An id without an entry is left there and not returned. Ids that the lanes'
    worker leaves to others are not taken.
    """
    keys = [key for queue in queues for key in (queue.key, queue.intermediate_queue_key)]
    skipped = {job_id for queue in queues if isinstance(queue, LaneQueue) for job_id in queue.skipped}
    found: Any = connection.eval(TAKE, len(keys), *keys, most, Entry.key_for(""), *skipped)
    taken: list[tuple[Entry, Queue]] = []
    for lane, job_id, fields in found:
        entry = Entry(job_id.decode(), connection=connection, serializer=JSONSerializer)
        entry.restore(dict(zip(fields[::2], fields[1::2], strict=True)))
        taken.append((entry, queues[lane - 1]))
    return taken


def push(connection: Redis, lane: str, ids: Sequence[str], *, at_front: bool = False) -> None:
    """Push entries for committed rows, in this order.

    Args:
        at_front: put them ahead of the entries that wait already.
    """
    queue = lane_queue(connection, lane)
    # Each entry that goes to the front goes ahead of the previous one.
    for chunk in chunked(reversed(ids) if at_front else ids, ENTRIES_A_ROUND_TRIP):
        queue.enqueue_many(
            Queue.prepare_data(
                FUNCTION,
                job_id=job_id,
                timeout=-1,
                result_ttl=0,
                description="",
                retry=_RETRY,
                at_front=at_front,
            )
            for job_id in chunk
        )


def new_fields(queue: LaneQueue) -> list[Any]:
    """Return the fields of a new entry, names and values by turns, as rq itself would write them."""
    entry = queue.create_job(FUNCTION, timeout=-1, result_ttl=0, description="", retry=_RETRY)
    entry.enqueued_at = datetime.now(UTC)
    return [part for field in entry.to_dict().items() for part in field]


@contextmanager
def rows_first() -> Iterator[None]:
    """Survive a broker that is away: the rows are written, and workers see them when the broker is back."""
    try:
        yield
    except RedisError as error:
        logger.warning("%s The new jobs are stored.", broker_error(error, "").message)


def waiting(connection: Redis, lane: str) -> int:
    """Return the number of entries that wait in a lane. Raises RedisError."""
    return lane_queue(connection, lane).count


def withdraw(connection: Redis, ids: Sequence[str]) -> None:
    """Remove the entries of these jobs, which were cancelled, from all lanes.

    Jobs that run have left their lane; the worker notices by itself that they were cancelled.
    """
    withdrawn = set(ids)
    for queue in lanes(connection):
        present = withdrawn.intersection(queue.get_job_ids())
        if present:
            with connection.pipeline() as pipeline:
                for job_id in present:
                    pipeline.lrem(queue.key, 1, job_id)
                    pipeline.delete(Entry.key_for(job_id))
                pipeline.execute()


def stop(connection: Redis, worker: str, job_id: str) -> None:
    """Notify the worker at once that a job it runs was cancelled; by itself it would notice a moment later."""
    send_command(connection, worker, "stop-job", job_id=job_id)


def _text(value: bytes) -> str:
    # Whoever can write to Redis can put anything into a lane.
    return value.decode(errors="replace")
