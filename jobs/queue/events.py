"""The events of a job while it is under way, on a Redis Stream: what happens to it, for whoever watches.

The row says what became of a job; the stream only tells sooner. It may be lost with the broker, and nothing depends on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.request_defaults import MAX_TOKENS

_PREFIX = "captionq:events:"
#: Events of a job at most, the oldest forgotten first: more than an answer has tokens.
LENGTH = MAX_TOKENS + 1024
#: Seconds that a stream is kept after its last event: a job that is killed never says its last word.
KEPT = 3600
#: And after the one that ends it: the row has the result, and whoever comes back later is told that.
KEPT_ENDED = 300


@dataclass(frozen=True)
class Event:
    """Something that happened to a job."""

    #: The stream's own id: what `read` goes on after.
    id: str
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class NewEvent:
    """An event that is to be published."""

    job_id: str
    name: str
    data: dict[str, Any]


def publish(connection: Redis, news: Iterable[NewEvent]) -> None:
    """Add events, all in one round trip. Raises RedisError."""
    with connection.pipeline(transaction=False) as pipeline:
        for one in news:
            fields = {"event": one.name, "data": json.dumps(one.data)}
            pipeline.xadd(_key(one.job_id), fields, maxlen=LENGTH, approximate=True)  # type: ignore[arg-type]  # dict is invariant
            pipeline.expire(_key(one.job_id), KEPT_ENDED if one.name == "ended" else KEPT)
        pipeline.execute()


def read(connection: Redis, job_id: str, after: str = "0", *, wait: float = 0.0) -> list[Event]:
    """The events after the one of this id, in order; waits up to so many seconds for the first. Raises RedisError."""
    return read_many(connection, {job_id: after}, wait=wait).get(job_id, [])


def read_many(connection: Redis, positions: dict[str, str], *, wait: float = 0.0) -> dict[str, list[Event]]:
    """The events of several jobs, of each those after the given id; waits for the first of any of them. Raises RedisError."""
    block = round(wait * 1000) or None
    found: Any = connection.xread({_key(job_id): after for job_id, after in positions.items()}, block=block)
    return {
        key.decode().removeprefix(_PREFIX): [
            Event(id=number.decode(), name=fields[b"event"].decode(), data=json.loads(fields[b"data"]))
            for number, fields in entries
        ]
        for key, entries in (found or [])
    }


def wake(connection: Redis, key: str) -> None:
    """End the wait of whoever reads this key among those of jobs. Raises RedisError."""
    publish(connection, [NewEvent(key, "wake", {})])


def _key(job_id: str) -> str:
    return _PREFIX + job_id
