"""What a worker says of itself while it lives: in Redis, where it vanishes soon after the worker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from redis import Redis
from rq.worker import BaseWorker

_KEY = "captionq:worker:"


@dataclass(frozen=True)
class WorkerState:
    """One worker, some moments ago."""

    name: str
    #: Seconds since the epoch.
    at: float
    #: The model whose requests are taken in; None: none has been loaded yet.
    model: str | None = None
    #: How its rows are batched (`jobs.models.batching_verdicts.Batching`).
    batching: str | None = None
    #: Rows that decode.
    rows: int = 0
    slots: int = 0
    #: Jobs that ended a second, over the last minute in which some did, by lane; a lane that has done nothing is not there.
    rates: dict[str, float] = field(default_factory=dict)
    #: Prometheus' text format.
    metrics: str = ""


def publish_state(connection: Redis, state: WorkerState, seconds: int) -> None:
    """To be repeated before so many seconds are over. Raises RedisError."""
    connection.set(_KEY + state.name, json.dumps(asdict(state)), ex=seconds)


def withdraw_state(connection: Redis, name: str) -> None:
    """The worker ends, or its predecessor had. Raises RedisError."""
    connection.delete(_KEY + name)


def live_workers(connection: Redis) -> list[WorkerState]:
    """Every worker that has been heard of lately, by name. Raises RedisError."""
    # rq's registry also holds those that were killed; what they said of themselves has vanished.
    names = sorted(
        key.removeprefix(BaseWorker.redis_worker_namespace_prefix) for key in BaseWorker.all_keys(connection)
    )
    said = connection.mget([_KEY + name for name in names]) if names else []
    return [WorkerState(**json.loads(value)) for value in said if value]
