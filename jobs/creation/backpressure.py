"""Back-pressure: the 429 of a full lane, and its `Retry-After`."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import InvalidRequestError, LaneFullError
from jobs.queue.broker_socket import check_writing
from jobs.queue.worker_state import live_workers, rate_of
from jobs.store.queries.waiting_rows import count_waiting
from jobs.store.store import Store
from jobs.store.tables import Lane

#: `Retry-After` in seconds while the workers' speed is unknown.
UNKNOWN_WAIT = 10.0
#: Maximum of `Retry-After` in seconds.
LONGEST_WAIT = 600.0
#: The share of a full lane that should be free before a client tries again.
WORTHWHILE = 0.02


@dataclass(frozen=True)
class Room:
    """Places that `check_room` has just found in a lane."""

    lane: Lane
    places: int


def check_room(store: Store, connection: Redis, lane: Lane, count: int, settings: Settings) -> Room:
    """Check that the broker accepts entries and that `count` more jobs fit into a lane. Its rows count, with or without entries.

    Raises RedisError; LaneFullError, with `retry_after` in seconds, while the lane is too full; InvalidRequestError when `count`
    is more than the lane ever holds.
    """
    limit = settings.max_waiting_interactive if lane is Lane.INTERACTIVE else settings.max_waiting_bulk
    if count > limit:
        raise InvalidRequestError(
            f"{count} jobs are more than the {lane} lane ever holds: {limit} (CAPTIONQ_MAX_WAITING_{lane.upper()}). "
            "Send fewer at a time."
        )
    check_writing(connection)
    waiting = count_waiting(store.engine, lane)
    if waiting + count <= limit:
        return Room(lane, count)
    places = max(waiting + count - limit, limit * WORTHWHILE)
    wait = retry_after(places, rate_of(live_workers(connection), lane))
    raise LaneFullError(
        f"The {lane} lane is full: {waiting} jobs wait, and the limit is {limit}. Try again in {wait:.0f} s.",
        retry_after=wait,
    )


def retry_after(places: float, rate: float | None) -> float:
    """Compute `Retry-After`: seconds until so many places of a lane are free. `rate`: see `rate_of`."""
    return UNKNOWN_WAIT if rate is None else min(LONGEST_WAIT, max(1.0, places / rate))
