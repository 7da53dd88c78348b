"""Events of a job under way, on a Redis Stream, for clients that follow the job.

The row holds the job's result; the stream only brings news of it earlier. It may be lost with the broker: nothing depends on
the stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.queue.scripts import PUBLISH
from jobs.request_defaults import MAX_TOKENS

_PREFIX = "captionq:events:"
#: Maximum number of events kept per job, more than an answer has tokens. The oldest go first.
LENGTH = MAX_TOKENS + 1024
#: Seconds that a stream is kept after its last event: a killed job never publishes its end.
KEPT = 3600
#: Seconds that a stream is kept after the event that ends the job. Clients that come later get the result from the row.
KEPT_ENDED = 300


@dataclass(frozen=True)
class Event:
    """One step in a job's life."""

    job_id: str
    name: str
    data: dict[str, Any]
    #: The id in the stream, after which `read` goes on; empty until the event is published.
    id: str = ""


def publish(connection: Redis, events: Iterable[Event]) -> None:
    """Add events to the streams of their jobs in one step, so that a reader of many streams wakes up once. Raises RedisError."""
    keys: list[str] = []
    arguments: list[int | str] = []
    for event in events:
        keys.append(_key(event.job_id))
        arguments += [KEPT_ENDED if event.name == "ended" else KEPT, event.name, json.dumps(event.data)]
    if keys:
        connection.eval(PUBLISH, len(keys), *keys, LENGTH, *arguments)


def read(connection: Redis, job_id: str, after: str = "0", *, wait: float = 0.0) -> list[Event]:
    """Read a job's events after the given id, in order.

    Args:
        wait: seconds to wait for the first event if there is none yet.

    Raises RedisError.
    """
    return read_many(connection, {job_id: after}, wait=wait).get(job_id, [])


def read_many(connection: Redis, positions: dict[str, str], *, wait: float = 0.0) -> dict[str, list[Event]]:
    """Read the events of several jobs; jobs without new events are left out.

    Args:
        positions: for each job's id, the event id to read after.
        wait: seconds to wait for the first event of any of the jobs.

    Raises RedisError.
    """
    block = round(wait * 1000) or None
    streams: Any = connection.xread({_key(job_id): after for job_id, after in positions.items()}, block=block)
    found: dict[str, list[Event]] = {}
    for key, entries in streams or []:
        job_id = key.decode().removeprefix(_PREFIX)
        found[job_id] = [
            Event(job_id, fields[b"event"].decode(), json.loads(fields[b"data"]), number.decode())
            for number, fields in entries
        ]
    return found


def wake(connection: Redis, key: str) -> None:
    """End the wait of a reader that has this key among its positions. Raises RedisError."""
    publish(connection, [Event(key, "wake", {})])


def forget(connection: Redis, key: str) -> None:
    """Delete the events of a reader that was woken. Raises RedisError."""
    connection.delete(_key(key))


def _key(job_id: str) -> str:
    return _PREFIX + job_id
