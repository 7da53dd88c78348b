"""The other workers of the queue, as this one sees them: the models that they serve, and whose turn it is to load one."""

from __future__ import annotations

import time
from typing import Any

from redis import Redis

from jobs.queue.scripts import TAKE_TURN
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.store.tables import Lane

#: For each model that a worker is about to take up, the worker's name.
_TURNS = "captionq:turns"
#: Seconds for which a look is good enough for a decision about a job.
FRESH = 1.0


class OtherWorkers:
    """The published states of the other workers, at most some seconds old."""

    def __init__(self, connection: Redis, own: str) -> None:
        """`own`: the name of this worker."""
        self._connection = connection
        self._own = own
        self._states: list[WorkerState] = []
        self._turns: dict[str, str] = {}
        self._looked_at = float("-inf")

    @property
    def alone(self) -> bool:
        """Whether no other worker takes jobs."""
        return not self._states

    def look(self) -> None:
        """Read the states and the turns. Turns that are over are ended: the model is served, or the worker is gone.

        Raises RedisError.
        """
        self._looked_at = time.monotonic()
        states = live_workers(self._connection)
        self._states = [state for state in states if state.name != self._own and not state.draining]
        told: Any = self._connection.hgetall(_TURNS)
        turns = {model.decode(): worker.decode() for model, worker in told.items()}
        served = {(state.model, state.name) for state in states}
        alive = {state.name for state in states}
        over = [model for model, worker in turns.items() if (model, worker) in served or worker not in alive]
        self._turns = {model: worker for model, worker in turns.items() if model not in over}
        for model in over:
            self._end(model, turns[model])

    def look_again(self) -> None:
        """Look, unless the last look was just now. Raises RedisError."""
        if time.monotonic() - self._looked_at > FRESH:
            self.look()

    def serve(self, model: str, lane: Lane = Lane.INTERACTIVE) -> bool:
        """Return whether another worker takes jobs of the model from the lane, or is about to."""
        is_coming = self._turns.get(model, self._own) != self._own
        takers = [state for state in self._states if lane == Lane.INTERACTIVE or not state.bulk_wait]
        return is_coming or any(state.model == model for state in takers)

    def have_in_memory(self, model: str) -> bool:
        """Return whether another worker has the model in memory."""
        return any(model in state.models for state in self._states)

    def take_turn(self, model: str) -> bool:
        """Announce that this worker takes up the model. Returns False if another one has announced it. Raises RedisError."""
        taken: Any = self._connection.eval(TAKE_TURN, 1, _TURNS, model, self._own)
        if taken:
            self._turns[model] = self._own
        return bool(taken)

    def end_turn(self, model: str) -> None:
        """Take the announcement back: there is nothing left to do. Raises RedisError."""
        if self._turns.pop(model, None) == self._own:
            self._end(model, self._own)

    def _end(self, model: str, worker: str) -> None:
        # The worker's name may have changed since it was read: another worker's turn stays.
        if self._connection.hget(_TURNS, model) == worker.encode():
            self._connection.hdel(_TURNS, model)
