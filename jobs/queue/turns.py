"""Turns: the order in which the rows of several runs go, by priorities and, among equals, one row of each run at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from jobs.store.queries.waiting_rows import WaitingRun


def in_turns(
    runs: Sequence[WaitingRun], rows_of: Callable[[WaitingRun], Iterator[str]], first: str | None, last: str | None
) -> Iterator[tuple[WaitingRun, str]]:
    """Yield the waiting rows of all runs in their order.

    Args:
        rows_of: returns the ids of a run's rows.
        first: the batch whose turn it is; None: unknown.
        last: the batch that had the last turn, for when `first` is unknown.
    """
    for equals in ranks(runs):
        turns = deque((run, rows_of(run)) for run in _from(equals, first, last))
        while turns:
            run, rows = turns.popleft()
            if (job_id := next(rows, None)) is not None:
                yield run, job_id
                turns.append((run, rows))


def ranks(runs: Sequence[WaitingRun]) -> Iterator[list[WaitingRun]]:
    """Yield the runs that take turns with each other, those that go first first. Each such list is in the order of age."""
    by_priority = sorted(runs, key=lambda run: (-run.priority, -run.created_at))
    for _, equals in groupby(by_priority, key=lambda run: run.priority):
        rank: list[WaitingRun] = []
        for run in equals:
            rank.insert(0, run)
            if run.overtakes:
                yield rank
                rank = []
        if rank:
            yield rank


def _from(runs: list[WaitingRun], first: str | None, last: str | None) -> list[WaitingRun]:
    """Rotate the runs to the one whose turn it is."""
    ids = [turn_of(run.batch_id) for run in runs]
    start = ids.index(first) if first in ids else ids.index(last) + 1 if last in ids else 0
    return runs[start:] + runs[:start]


def turn_of(batch_id: str | None) -> str:
    """Return the name of a run in the order of turns: rows without a batch have one too."""
    return batch_id or "single"
