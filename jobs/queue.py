"""The lanes: rq queues whose entries carry a job's id and nothing else.

The row is the job; an entry only brings it to the worker. So an entry may be lost (`reconcile` makes it anew), may come twice
(the second finds the row claimed) and is never trusted: it is read as JSON, and the worker calls nothing that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redis import Redis
from rq import Queue, Retry
from rq.job import Job as RQJob
from rq.serializers import JSONSerializer

from jobs.chunks import chunked
from jobs.errors import InvalidRequestError
from jobs.store import Store
from jobs.tables import Lane

#: What an entry names as its function. It exists nowhere: the worker compares the name and calls its engine.
FUNCTION = "captionq.generate"

#: Entries that go to Redis in one round trip.
CHUNK = 1000

# A lease that ran out is noticed by whoever cleans rq's registries, `rq info` among them. With retries left the entry goes
# back into its lane; without, rq would call it failed.
_RETRY = Retry(max=1000)


class Entry(RQJob):
    """An rq job that cannot be called: what it names is data."""

    def restore(self, raw_data: dict[Any, Any]) -> None:
        """Read the entry. Callbacks and webhooks are dropped: rq would import and call what they name."""
        super().restore(raw_data)
        self.foreign = bool(
            self._success_callback_name
            or self._failure_callback_name
            or self._stopped_callback_name
            or self.webhooks
            or self.repeats_left
        )
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        self.repeats_left = None

    def check(self) -> None:
        """Raises InvalidRequestError unless captionq made this entry."""
        if self.foreign or self.func_name != FUNCTION:
            raise InvalidRequestError(f"The queue entry '{self.id}' asks for '{self.func_name}', which is refused.")

    def perform(self) -> None:
        raise InvalidRequestError("A queue entry is not to be called.")


class LaneQueue(Queue):
    """One lane in Redis."""

    job_class = Entry

    def ids(self) -> set[str]:
        """Every job that has an entry here: waiting, just taken, running or put off."""
        started = {job_id for job_id, _ in self.started_job_registry.get_job_and_execution_ids(cleanup=False)}
        scheduled = set(self.scheduled_job_registry.get_job_ids(cleanup=False))
        return {*self.get_job_ids(), *self.intermediate_queue.get_job_ids(), *started, *scheduled}


def lanes(connection: Redis, queue_class: type[LaneQueue] = LaneQueue) -> list[LaneQueue]:
    """All lanes, in the order in which the worker empties them."""
    return [queue_class(lane.value, connection=connection, serializer=JSONSerializer) for lane in Lane]


def push(connection: Redis, lane: str, ids: Sequence[str], *, at_front: bool = False) -> None:
    """Give rows that are committed their queue entries, in this order; `at_front`: ahead of what waits already."""
    queue = LaneQueue(lane, connection=connection, serializer=JSONSerializer)
    # Each entry that goes to the front goes ahead of the one before it.
    for chunk in chunked(reversed(ids) if at_front else ids, CHUNK):
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


def withdraw(connection: Redis, ids: Iterable[str]) -> None:
    """Take the entries of rows that ended (were cancelled) out again. The worker notices those that it runs."""
    for chunk in chunked(ids, CHUNK):
        with connection.pipeline() as pipeline:
            for job_id in chunk:
                for queue in lanes(connection):
                    queue.remove(job_id, pipeline=pipeline)
                pipeline.delete(Entry.key_for(job_id))
            pipeline.execute()


def reconcile(store: Store, connection: Redis, *, older_than: float = 0.0) -> int:
    """Give every queued row that has no entry one, and return how many had none.

    `older_than` (seconds) leaves out rows whose writer may be about to push them.
    """
    present = {job_id for queue in lanes(connection) for job_id in queue.ids()}
    missing: dict[str, list[str]] = {}
    for job_id, lane in store.queued(older_than):
        if job_id not in present:
            missing.setdefault(lane, []).append(job_id)
    for lane, ids in missing.items():
        push(connection, lane, ids)
    return sum(map(len, missing.values()))
