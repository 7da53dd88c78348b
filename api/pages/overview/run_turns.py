"""The turn of each waiting run: how many pictures of other runs go before its first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError

from jobs.queue.lanes import ahead_of
from jobs.store.queries.first_waiting import first_waiting
from jobs.store.store import Store


@dataclass
class RunTurns:
    """Finds the turns of runs, and remembers the waiting job that came first in each."""

    store: Store
    _first: dict[str, tuple[str, str]] = field(default_factory=dict)

    def before(self, run_ids: Iterable[str], connection: Redis) -> dict[str, int]:
        """Return for each run the number of jobs that go before its first. Runs without a place in a lane are left out."""
        ids = list(run_ids)
        try:
            turns = {run_id: self._before(run_id, connection) for run_id in ids}
        except RedisError:
            return {}
        self._first = {run_id: first for run_id, first in self._first.items() if run_id in ids}
        return {run_id: turn for run_id, turn in turns.items() if turn is not None}

    def _before(self, run_id: str, connection: Redis) -> int | None:
        if (known := self._first.get(run_id)) is not None:
            lane, job_id = known
            if (turn := ahead_of(connection, lane, job_id)) is not None:
                return turn
        if (first := first_waiting(self.store.engine, run_id)) is None:
            return None
        self._first[run_id] = first
        lane, job_id = first
        return ahead_of(connection, lane, job_id)
