"""The estimate of a sample: only work counts, and pictures of one batch share their time."""

from __future__ import annotations

import pytest

from api.pages.start.samples import estimated_seconds, worked_seconds
from jobs.store.tables import Job, JobStatus


def ended(begin: float, end: float, *, status: str = JobStatus.SUCCEEDED, cached: bool = False) -> Job:
    """Return a job that was worked on from `begin` to `end`, and waited before that."""
    seconds = 0.0 if cached else end - begin
    return Job(
        model="demo", request="", digest="", status=status, cached=cached, started_at=begin - 100, finished_at=end,
        preprocess_seconds=seconds / 4, prefill_seconds=seconds / 4, decode_seconds=seconds / 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("jobs", "seconds"),
    [
        ([ended(0, 3), ended(0, 4), ended(1, 2)], 4.0),
        # One after the other, as by a worker with one slot.
        ([ended(4, 6), ended(0, 2), ended(10, 11)], 5.0),
        ([ended(0, 2), ended(1, 1, cached=True)], 2.0),
        ([ended(1, 1, cached=True)], None),
        ([], None),
    ],
)
def test_time_in_which_nothing_was_worked_on_does_not_count(jobs: list[Job], seconds: float | None) -> None:
    """Overlaps count once; waiting, the loading of a model and answers that were there count nothing."""
    assert worked_seconds(jobs) == seconds


def test_the_estimate_is_the_time_per_picture_that_was_asked() -> None:
    """Pictures that failed or had their answer make it neither shorter nor longer."""
    jobs = [ended(0, 3), ended(0, 4), ended(0, 9, status=JobStatus.FAILED), ended(5, 5, cached=True)]
    assert estimated_seconds(jobs, 100) == 200.0
    assert estimated_seconds(jobs[2:], 100) is None
