"""The state that a live worker publishes: in Redis, from which it vanishes `lease` seconds after the worker has died.

`lease`: `jobs/configuration/settings.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, fields

from redis import Redis
from rq.worker import BaseWorker

from jobs.store.tables import Lane

_KEY = "captionq:worker:"


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
    #: Metrics in Prometheus' text format.
    metrics: str = ""
    host: str = ""
    #: All models in memory.
    models: list[str] = field(default_factory=list)
    #: Jobs that the worker is running.
    jobs: int = 0
    #: Bytes of memory that the model's library holds; None: unknown.
    memory: int | None = None
    #: Whether the worker takes no more jobs, and ends with those that it has.
    draining: bool = False

    @property
    def status(self) -> str:
        """One word: `draining`, `busy` or `idle`."""
        return "draining" if self.draining else "busy" if self.jobs else "idle"

    @property
    def rate(self) -> float | None:
        """Jobs ended per second in all lanes; None: not measured yet."""
        return sum(self.rates.values()) or None

    @property
    def short_name(self) -> str:
        """The name for people."""
        return self.name.removeprefix("captionq-")

    def as_public(self, shown: Callable[[str], str]) -> dict[str, object]:
        """Return the fields that programs are shown. `shown` makes a model's name for clients."""
        fields = ("name", "host", "status", "models", "batching", "jobs", "rows", "slots", "rates", "draining")
        return {
            **{name: getattr(self, name) for name in fields},
            "model": None if self.model is None else shown(self.model),
            "models": [shown(one) for one in self.models],
            "rate": self.rate,
            "memory_bytes": self.memory,
            "last_seen_at": self.at,
        }


_FIELDS = [one.name for one in fields(WorkerState)]


def publish_state(connection: Redis, state: WorkerState, seconds: int) -> None:
    """Publish a worker's state for the next `seconds`; to be repeated before they are over. Raises RedisError."""
    connection.set(_KEY + state.name, json.dumps(asdict(state)), ex=seconds)


def withdraw_state(connection: Redis, name: str) -> None:
    """Remove the state of a worker that ends, or of its dead predecessor. Raises RedisError."""
    connection.delete(_KEY + name)


def live_workers(connection: Redis) -> list[WorkerState]:
    """Return the states of all live workers, by name. Raises RedisError."""
    # rq's registry also holds workers that were killed; their states have expired.
    names = sorted(worker_names(connection))
    states = connection.mget([_KEY + name for name in names]) if names else []
    return [_state_of(state) for state in states if state]


def _state_of(text: bytes | str) -> WorkerState:
    # The worker may be of a newer version, and tell more.
    told = json.loads(text)
    return WorkerState(**{name: told[name] for name in _FIELDS if name in told})


def worker_names(connection: Redis) -> list[str]:
    """Return the names of all workers that are registered with rq, alive or not. Raises RedisError."""
    prefix = BaseWorker.redis_worker_namespace_prefix
    return [key.removeprefix(prefix) for key in BaseWorker.all_keys(connection)]


def are_alive(connection: Redis, names: Collection[str]) -> set[str]:
    """Return those of these workers that live, whether rq knows them or not. Raises RedisError."""
    asked = sorted(names)
    states = connection.mget([_KEY + name for name in asked]) if asked else []
    return {name for name, state in zip(asked, states, strict=True) if state}


def rate_of(workers: Sequence[WorkerState], lane: Lane) -> float | None:
    """Add up the jobs of a lane that end per second on all workers; None: no worker has measured its rate."""
    rates = [state.rates[lane] for state in workers if lane in state.rates]
    return sum(rates) or None
