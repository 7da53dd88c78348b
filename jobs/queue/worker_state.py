"""The state that a live worker publishes: in Redis, from which it vanishes soon after the worker died or was stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from redis import Redis
from rq.worker import BaseWorker

from jobs.store.tables import Lane

_KEY = "captionq:worker:"
#: Seconds for which a worker counts as alive after its last sign of life. It publishes every second, also in a long step.
SILENT_AFTER = 15
#: Seconds after which a step of the engine is called a standstill. The longest steps take some seconds.
STANDS_STILL_AFTER = 60.0


class Fault(NamedTuple):
    """A fault of the database or of a disk, which a worker waits for."""

    #: The code of the error.
    code: str
    #: A sentence with the name of the file, for the owner of the machine.
    sentence: str


@dataclass(frozen=True)
class WorkerState:
    """State of one worker, a few moments old."""

    name: str
    #: Seconds since the epoch.
    at: float
    #: The model whose requests are taken in; None: no model has been loaded yet.
    model: str | None = None
    #: How requests of the model are batched (`jobs.models.batching_verdicts.Batching`).
    batching: str | None = None
    #: Number of sequences that decode.
    rows: int = 0
    slots: int = 0
    #: Jobs ended per second, by lane, over the last minute in which any job ended. Lanes without an end are missing.
    rates: dict[str, float] = field(default_factory=dict)
    #: Seconds that the present step of the engine has taken by now, if it takes long.
    step_seconds: float = 0.0
    #: The fault that the worker waits for. Empty: there is none.
    fault_code: str = ""
    fault: str = ""
    #: Metrics in Prometheus' text format.
    metrics: str = ""

    @property
    def stands_still(self) -> bool:
        """Whether the engine has made no step for too long."""
        return self.step_seconds >= STANDS_STILL_AFTER


def publish_state(connection: Redis, state: WorkerState, seconds: int = SILENT_AFTER) -> None:
    """Publish a worker's state for the next `seconds`; to be repeated before they are over. Raises RedisError."""
    connection.set(_KEY + state.name, json.dumps(asdict(state)), ex=seconds)


def withdraw_state(connection: Redis, name: str) -> None:
    """Remove the state of a worker that ends, or of its dead predecessor. Raises RedisError."""
    connection.delete(_KEY + name)


def live_workers(connection: Redis) -> list[WorkerState]:
    """Return the states of all live workers, by name. Raises RedisError."""
    # rq's registry also holds workers that were killed; their states have expired.
    names = sorted(
        key.removeprefix(BaseWorker.redis_worker_namespace_prefix) for key in BaseWorker.all_keys(connection)
    )
    states = connection.mget([_KEY + name for name in names]) if names else []
    return [WorkerState(**json.loads(state)) for state in states if state]


def rate_of(workers: Sequence[WorkerState], lane: Lane) -> float | None:
    """Add up the jobs of a lane that end per second on all workers; None: no worker has measured its rate."""
    rates = [state.rates[lane] for state in workers if lane in state.rates]
    return sum(rates) or None
