"""Closing the bulk lane for one worker: its entries stay for later, or for other workers."""

from __future__ import annotations

from collections.abc import Sequence

from redis import Redis

from jobs.queue.lanes import LaneQueue
from jobs.queue.workers.taken_ids import put_back
from jobs.store.tables import Lane
from worker.dispatch.admission.model_turns import ModelTurns


def close_bulk(connection: Redis, lanes: Sequence[LaneQueue], turns: ModelTurns, *, closed: bool) -> None:
    """Close the bulk lane, or open it. Running jobs go on, and held ones go back to the front of their lane.

    To be called again while the lane is closed: a job may have been held meanwhile. Raises RedisError.
    """
    for lane in lanes:
        lane.closed = closed and lane.name != Lane.INTERACTIVE
    held = [one for one in turns.in_order() if one.queue.closed]
    for one in held:
        turns.release(one)
    put_back(connection, [(one.queue, one.entry.id) for one in held])
