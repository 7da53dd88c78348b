"""The state that a live worker publishes: in Redis, from which it vanishes soon after the worker died or was stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import NamedTuple

from redis import Redis
from redis.client import Pipeline
from rq.worker import BaseWorker

from jobs.store.tables import Lane

_KEY = "captionq:worker:"
#: Kept for a whole lease. A worker that is silent for less counts as missing, and may come back to its jobs.
_SIGN_OF_LIFE = "captionq:alive:"
#: Seconds for which a worker counts as alive after its last sign of life. It publishes every second while
#: it works, also in a long step, and every six seconds while it has nothing to do.
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
    host: str = ""
    #: All models in memory.
    models: list[str] = field(default_factory=list)
    #: Jobs that the worker is running.
    jobs: int = 0
    #: Bytes of memory that the model's library holds; None: unknown.
    memory: int | None = None
    #: Whether the worker takes no more jobs, and ends with those that it has.
    draining: bool = False
    #: When the models leave memory unless a job comes, in seconds since the epoch; None: they stay for now.
    unloads_at: float | None = None
    #: Codes of the reasons for which the worker takes no bulk jobs (`jobs.queue.workers.bulk_waits.py`).
    bulk_wait_codes: list[str] = field(default_factory=list)
    #: The reasons, as the rest of "Bulk work waits …". Empty: there are none.
    bulk_wait: str = ""
    #: When bulk jobs are taken again, in seconds since the epoch; None: not known, or now.
    bulk_wait_until: float | None = None

    @property
    def status(self) -> str:
        """One word: `draining`, `busy` or `idle`."""
        return "draining" if self.draining else "busy" if self.jobs else "idle"

    @property
    def stands_still(self) -> bool:
        """Whether the engine has made no step for too long."""
        return self.step_seconds >= STANDS_STILL_AFTER

    @property
    def status_words(self) -> str:
        """The status for people, with the reason for which bulk jobs wait: `waits until 22:00 (CAPTIONQ_HOURS)`."""
        if not self.bulk_wait or self.draining:
            return self.status
        return f"{self.status}; bulk waits {self.bulk_wait}" if self.jobs else f"waits {self.bulk_wait}"

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
            "unloads_at": self.unloads_at,
            "bulk_wait": self.bulk_wait or None,
            "bulk_wait_codes": self.bulk_wait_codes,
            "bulk_wait_until": self.bulk_wait_until,
        }


_FIELDS = [one.name for one in fields(WorkerState)]


def publish_state(
    connection: Redis, state: WorkerState, seconds: int = SILENT_AFTER, *, lease: int | None = None
) -> None:
    """Publish a worker's state for the next `seconds`; to be repeated before they are over. Raises RedisError.

    `lease`: seconds for which the worker's jobs stay with it after this sign of life; None: also `seconds`.
    """
    with connection.pipeline() as pipeline:
        add_state(pipeline, state, seconds, lease=lease)
        pipeline.execute()


def add_state(pipeline: Pipeline, state: WorkerState, seconds: int = SILENT_AFTER, *, lease: int | None = None) -> None:
    """Add the commands that publish a worker's state to a pipeline: see `publish_state`."""
    pipeline.set(_KEY + state.name, json.dumps(asdict(state)), ex=seconds)
    pipeline.set(_SIGN_OF_LIFE + state.name, "1", ex=lease or seconds)


def withdraw_state(connection: Redis, name: str) -> None:
    """Remove the state of a worker that ends, or of its dead predecessor. Raises RedisError."""
    connection.delete(_KEY + name, _SIGN_OF_LIFE + name)


def live_workers(connection: Redis, names: Sequence[str] | None = None) -> list[WorkerState]:
    """Return the states of all live workers, by name. Raises RedisError. `names`: `worker_names`, if the caller has them."""
    # rq's registry also holds workers that were killed; their states have expired.
    asked = sorted(worker_names(connection) if names is None else names)
    states = connection.mget([_KEY + name for name in asked]) if asked else []
    return [_state_of(state) for state in states if state]


def _state_of(text: bytes | str) -> WorkerState:
    # The worker may be of a newer version, and tell more.
    told = json.loads(text)
    return WorkerState(**{name: told[name] for name in _FIELDS if name in told})


def worker_names(connection: Redis) -> list[str]:
    """Return the names of all workers that are registered with rq, alive or not. Raises RedisError."""
    prefix = BaseWorker.redis_worker_namespace_prefix
    return [key.removeprefix(prefix) for key in BaseWorker.all_keys(connection)]


def signs_of_life(connection: Redis, names: Collection[str]) -> dict[str, float]:
    """Return those of these workers whose jobs stay with them, whether rq knows them or not.

    With each comes the number of seconds until its jobs are taken back if it gives no further sign of life. Raises RedisError.
    """
    asked = sorted(names)
    with connection.pipeline(transaction=False) as pipeline:
        for name in asked:
            pipeline.pttl(_SIGN_OF_LIFE + name)
            # Workers of older versions publish a state only.
            pipeline.pttl(_KEY + name)
        left = pipeline.execute()
    by_name = {name: max(both) for name, *both in zip(asked, left[::2], left[1::2], strict=True)}
    return {name: milliseconds / 1000 for name, milliseconds in by_name.items() if milliseconds >= 0}


def rate_of(workers: Sequence[WorkerState], lane: Lane) -> float | None:
    """Add up the jobs of a lane that end per second on all workers; None: no worker has measured its rate."""
    rates = [state.rates[lane] for state in workers if lane in state.rates]
    return sum(rates) or None
