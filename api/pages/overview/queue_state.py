"""The state of the lanes and the workers as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import RedisError

from api.pages.overview.batch_history import BatchHistory
from api.pages.overview.worker_view import WorkerView, worker_views
from api.runtime.resources import Resources
from api.schemas.job import source_name
from jobs.queue.lanes import lane_queue
from jobs.queue.worker_state import rate_of
from jobs.safe_text import safe_text
from jobs.store.queries.waiting_rows import count_waiting
from jobs.store.tables import Lane

#: Jobs at the front of a lane that are named.
NAMED = 3
_LANES = {Lane.INTERACTIVE: "Interactive", Lane.BULK: "Bulk"}


@dataclass(frozen=True)
class LaneState:
    """Jobs that wait in a lane."""

    name: str
    waiting: int
    #: The jobs at the front: their pictures, or their ids.
    front: list[str]
    #: Jobs ended per second.
    rate: float | None


@dataclass(frozen=True)
class QueueState:
    """The lanes and the workers; None: the broker is away."""

    lanes: list[LaneState] | None
    workers: list[WorkerView] | None


def queue_state(resources: Resources, history: BatchHistory) -> QueueState:
    """Read the lanes and the workers."""
    try:
        return QueueState(
            [_lane(lane, resources) for lane in Lane],
            worker_views(resources.workers(), history),
        )
    except RedisError:
        return QueueState(None, None)


def _lane(lane: Lane, resources: Resources) -> LaneState:
    queue = lane_queue(resources.connection, lane)
    ids = queue.get_job_ids(0, NAMED)
    jobs = {job.id: job for job in resources.store.those(ids)}
    names = [safe_text((source_name(jobs[one]) if one in jobs else None) or one) for one in ids]
    return LaneState(
        _LANES[lane], count_waiting(resources.store.engine, lane), names, rate_of(resources.workers(), lane)
    )
