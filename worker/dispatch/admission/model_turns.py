"""Jobs that were dequeued and are held back until their model's turn, or until they can run in isolation.

Two models that took turns at every job would drain the batch, and perhaps be loaded, for each. So jobs of the running model go
first and those of another are held, until a held job is overdue: then no new job begins, the batch drains, and all held jobs of
the overdue job's model begin together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from jobs.queue.lanes import Entry, LaneQueue
from jobs.store.queries.job_queries import JobSummary
from jobs.store.tables import Lane

#: Maximum number of jobs held back. Their ids stay in Redis and block their lane while held.
MAX_HELD = 256
#: Seconds that a job is held at most while jobs of the running model go first. Loading a model takes seconds: a client that
#: waits for an answer will not wait for much more than that, and a folder can.
MAX_WAIT = {Lane.INTERACTIVE: 5.0, Lane.BULK: 60.0}

#: Seconds for which a row that was read need not be read again: the claim checks the status once more.
FRESH = 0.1


@dataclass(frozen=True, eq=False)
class HeldJob:
    """A dequeued entry. Its id stays in the lane's intermediate list, where recovery finds it, until the job is claimed."""

    entry: Entry
    queue: LaneQueue
    #: The row when the entry was dequeued; None: there was none.
    row: JobSummary | None
    #: Whether the job must run in isolation, because its worker died several times.
    isolated: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether the row was read less than `FRESH` seconds ago."""
        return time.monotonic() - self.since < FRESH

    @property
    def model(self) -> str | None:
        """None: the entry has no row and will only be dropped."""
        return None if self.row is None else self.row.model

    @property
    def lane(self) -> Lane:
        return Lane(self.queue.name)

    def is_overdue(self, now: float) -> bool:
        """Whether the batch must drain for this job at the monotonic time `now`."""
        return self.isolated or now - self.since > MAX_WAIT[self.lane]


class ModelTurns:
    """The held jobs, and the order in which they may begin."""

    def __init__(self) -> None:
        self._held: list[HeldJob] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        return len(self._held) >= MAX_HELD

    @property
    def ids(self) -> set[str]:
        """Ids of the held jobs."""
        return {held.entry.id for held in self._held}

    @property
    def overdue(self) -> bool:
        """Whether a held job is overdue, so that the batch has to drain."""
        now = time.monotonic()
        return any(held.is_overdue(now) for held in self._held)

    def in_order(self) -> list[HeldJob]:
        """The held jobs: overdue ones first, then lane by lane, the oldest first."""
        now = time.monotonic()
        lanes = list(Lane)
        return sorted(self._held, key=lambda held: (not held.is_overdue(now), lanes.index(held.lane), held.since))

    def hold(self, held: HeldJob) -> None:
        self._held.append(held)

    def release(self, held: HeldJob) -> None:
        self._held.remove(held)

    def clear(self) -> None:
        """Release all held jobs. Recovery puts their entries back into the lanes."""
        self._held.clear()
