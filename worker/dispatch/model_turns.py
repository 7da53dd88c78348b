"""Jobs that were taken from their lane and wait for their turn: for another model, or for a batch of their own.

Two models that take turns at every job would drain the batch, and perhaps be loaded, for each. So jobs of the running model go
first, and those of another are held, until one has waited long enough: then nothing new begins, the batch drains, and all
held jobs of that one's model begin together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from jobs.queue.lanes import Entry, LaneQueue
from jobs.store.queries import Glance
from jobs.store.tables import Lane

#: Entries that are held at most: their ids are in Redis all the while, and the lane behind them waits.
MOST_HELD = 256
#: Seconds that a job is held at most while jobs of the running model go first. Loading a model takes seconds; somebody who
#: waits for an answer will not wait for much more than that, and a folder does not mind.
TURNS = {Lane.INTERACTIVE: 5.0, Lane.BULK: 60.0}

#: Seconds for which a row that was read need not be read again: a claim is guarded by what it is then.
FRESH = 0.1


@dataclass(frozen=True, eq=False)
class Held:
    """An entry that is in its lane's intermediate list, where recovery finds it, until its job is claimed."""

    entry: Entry
    queue: LaneQueue
    #: Its row, as it was when the entry was dequeued; None: there was none.
    job: Glance | None
    #: Whether it may not run beside others.
    alone: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether the row was read just now."""
        return time.monotonic() - self.since < FRESH

    @property
    def lane(self) -> Lane:
        return Lane(self.queue.name)

    def is_overdue(self, now: float) -> bool:
        """Whether it is its turn, whatever else waits."""
        return self.alone or now - self.since > TURNS[self.lane]


class Turns:
    """The jobs that are held."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        return len(self._held) >= MOST_HELD

    @property
    def ids(self) -> set[str]:
        """Of the jobs."""
        return {held.entry.id for held in self._held}

    @property
    def somebody_is_overdue(self) -> bool:
        """Whether the batch has to drain."""
        now = time.monotonic()
        return any(held.is_overdue(now) for held in self._held)

    def in_order(self) -> list[Held]:
        """Whose turn is next: those who have waited long enough, then lane by lane, the oldest first."""
        now = time.monotonic()
        lanes = list(Lane)
        return sorted(self._held, key=lambda held: (not held.is_overdue(now), lanes.index(held.lane), held.since))

    def hold(self, held: Held) -> None:
        self._held.append(held)

    def release(self, held: Held) -> None:
        self._held.remove(held)

    def clear(self) -> None:
        """Let go of all; recovery puts them back."""
        self._held.clear()
