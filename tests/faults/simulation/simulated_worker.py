"""The real worker with an engine in memory: a schedule decides when it makes a turn, and how each of its jobs ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError
from jobs.models.batching_verdicts import Batching
from jobs.requests import Request
from jobs.store.result import Result
from jobs.store.store import Store
from worker.dispatch.crash_recovery import recover
from worker.dispatch.metal_worker import MetalWorker
from worker.dispatch.periodic import PeriodicTasks
from worker.engine.figures import Figures
from worker.engine.sequences import Outcome, TextDelta
from worker.models.download import OnProgress


class SteeredPipeline:
    """A pipeline in memory: requests run until `end` is called. See `RequestPipeline`."""

    figures = Figures()
    rows = 0
    batching: Batching | None = None

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.model: str | None = None
        self.models: list[str] = []
        #: The keys of the requests that run, in the order of their beginnings.
        self.running: list[str] = []
        self._outcomes: list[Outcome] = []

    @property
    def in_flight(self) -> int:
        return len(self.running) + len(self._outcomes)

    def end(self, key: str, *, result: Result | None = None, error: CaptionqError | None = None) -> None:
        """Let a running request end in the next step."""
        self.running.remove(key)
        self._outcomes.append(Outcome(key, result=result, error=error))

    def room(self, *, urgent: bool = False) -> int:
        return self.slots - self.in_flight + urgent

    def accepts(self, model: str) -> bool:
        return model == self.model or not self.in_flight

    def load(
        self, model: str, on_progress: OnProgress | None = None, on_check: Callable[[], None] | None = None
    ) -> None:
        self.model = model

    def begin(
        self,
        key: str,
        request: Request,
        *,
        urgent: bool = False,
        followed: bool = False,
        roots: Sequence[Path] | None = None,
        mended: bool = False,
    ) -> None:
        self.running.append(key)

    def step(self) -> list[Outcome]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def said(self) -> list[TextDelta]:
        return []

    def texts_so_far(self) -> dict[str, str]:
        return {}

    def cancel(self, key: str) -> None:
        self.running = [one for one in self.running if one != key]
        self._outcomes = [one for one in self._outcomes if one.key != key]

    def clear(self) -> None:
        self.running, self._outcomes = [], []

    def unload(self) -> None:
        self.model = None

    def close(self) -> None:
        self.clear()


class SimulatedWorker:
    """A worker's process. `MetalWorker` does all of its work, but no loop runs: each turn is called for."""

    def __init__(self, name: str, store: Store, connection: Redis, settings: Settings, *, died: bool = True) -> None:
        """Start as a process does: recover from the last worker of this name. `died`: see `recover`."""
        self.name = name
        self.pipeline = SteeredPipeline(settings.slots)
        self._store = store
        self._connection = connection
        self._metal = MetalWorker(name, connection, store, self.pipeline, settings)
        # Maintenance comes when the schedule calls for it.
        self._metal._maintained_at = time.monotonic()
        recover(name, store, connection, died=died)
        self._metal.register_birth()

    def turn(self) -> None:
        """Talk to the broker, and do one step of the engine: one round of the worker's loop."""
        # Everything is due but the renewal of leases: the schedule decides how time passes.
        self._metal._tasks = PeriodicTasks()
        self._metal._tasks.put_off("beat", 1.0)
        self._metal._admission._feeder._looked_at = 0.0
        self._metal._talk_to_broker()
        self.step()

    def look(self) -> None:
        """Look at the rows of the running jobs, and drop those that are no longer this worker's. The loop does it each second."""
        self._metal._watch._looked_at = (float("-inf"), float("-inf"))
        self._metal._watch.look()

    def step(self) -> None:
        """Do one step of the engine, and record in the rows what ended."""
        self._metal._step()

    def maintain(self, *, cleans: bool) -> None:
        """Do the maintenance: backoffs that are over, rows without an entry. `cleans`: also rq's, of leases that have run out."""
        self._metal._maintenance._tasks = PeriodicTasks()
        self._metal._cleaned_at = float("-inf") if cleans else time.monotonic()
        self._metal.run_maintenance_tasks()

    def attempt(self, job_id: str) -> int:
        """Return the attempt of a running job that this worker has."""
        return self._metal._leases.running[job_id].claimed.attempts

    def beat(self) -> None:
        """Renew the leases and the worker's own key."""
        self._metal.heartbeat()
        self._metal._leases.beat()

    def stop(self) -> None:
        """End in good order: running jobs go back to the front of their lanes."""
        self._metal._put_back()
        self._metal.register_death()

    def crash(self) -> None:
        """End by an error of the engine, for which any of the running jobs may be the cause."""
        self._metal.crash = RuntimeError("the device went away")
        self._metal._put_back()
