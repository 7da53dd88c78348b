"""Progress of a batch over HTTP: counts, speed and the time that is left.

The bar on a terminal computes its own, by the last half minute: `cli/output/progress_bar.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.store.rows.job_counts import open_in
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus

#: Number of jobs, the last that ended, from whose times the speed is computed.
RECENT_JOBS = 50


@dataclass(frozen=True)
class Progress:
    """State of a batch at one moment."""

    counts: dict[JobStatus, int]
    #: Jobs ended per second, by the jobs that ended last; None: too few have ended.
    rate: float | None
    #: Seconds until the last open job has ended, at that rate; None: unknown, or the batch is paused.
    seconds_left: float | None
    #: The time when the last job ended, in seconds since the epoch; None: some jobs are open or to come, or the batch has none.
    finished_at: float | None
    #: Whether no job is open, and none is to come.
    has_ended: bool


def progress_of(store: Store, batch: Batch) -> Progress:
    """Compute the progress of a batch from the jobs that are in the store by now."""
    counts = store.counts(batch.id)
    ends = store.last_ends(batch.id, RECENT_JOBS + 1)
    # The speed counts from the end before the recent ones, or from the batch's creation if there are no more.
    since = ends.pop() if len(ends) > RECENT_JOBS else batch.created_at
    rate = len(ends) / (ends[0] - since) if ends and ends[0] > since else None
    waiting = open_in(counts)
    left = waiting / rate if waiting and rate and batch.paused_at is None else None
    has_ended = batch.complete and not waiting
    return Progress(counts, rate, left, ends[0] if ends and has_ended else None, has_ended)
