"""How far a batch is: counts, speed and the time that is left."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, JobStatus

#: Jobs that ended last, whose times tell the speed.
RECENT_JOBS = 50


@dataclass(frozen=True)
class Progress:
    """One batch at one moment."""

    counts: dict[JobStatus, int]
    #: Jobs that end a second, by those that ended last; None: too few have.
    rate: float | None
    #: Until the last open job has ended, at that rate; None: not known.
    seconds_left: float | None
    #: When the last job ended, in seconds since the epoch; None: some are open, or there are none.
    finished_at: float | None

    @property
    def has_ended(self) -> bool:
        return not any(self.counts[status] for status in OPEN)


def progress_of(store: Store, batch: Batch) -> Progress:
    """Of the jobs that are in the store by now."""
    counts = store.counts(batch.id)
    ends = store.last_ends(batch.id, RECENT_JOBS + 1)
    # The one before the recent ones ended when they began; before the first ones there was nothing.
    since = ends.pop() if len(ends) > RECENT_JOBS else batch.created_at
    rate = len(ends) / (ends[0] - since) if ends and ends[0] > since else None
    waiting = sum(counts[status] for status in OPEN)
    left = waiting / rate if waiting and rate else None
    return Progress(counts, rate, left, ends[0] if ends and not waiting else None)
