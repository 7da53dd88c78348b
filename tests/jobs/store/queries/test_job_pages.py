"""Pages of the list of jobs: the right ones, and at the same cost among few and among many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from jobs.errors import ImageError
from jobs.store.connection import reading
from jobs.store.queries.batch_list import newest_batches
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus
from tests.support.postgres import only_sqlite
from tests.support.rows import RESULT, add_batch


def in_all_states(store: Store, size: int) -> tuple[Batch, list[Job]]:
    """Store a batch whose jobs have different states, two of them made at the same moment."""
    batch, jobs = add_batch(store, size)
    for number, job in enumerate(jobs):
        if number % 6:
            store.claim([job.id], "worker")
        match number % 6:
            case 1:
                store.succeed(job.id, RESULT)
            case 2:
                store.succeed(job.id, replace(RESULT, quality="empty"))
            case 3:
                store.fail(job.id, ImageError())
            case 4:
                store.cancel([job.id])
    return batch, store.jobs(batch_id=batch.id)


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_together_are_the_whole_list(store: Store, newest_first: bool) -> None:
    """By every filter, whatever the length of a page."""
    (batch, jobs), _ = in_all_states(store, 14), in_all_states(store, 3)
    for batch_id, statuses in product(
        (None, batch.id), ([], [JobStatus.FAILED], [JobStatus.QUEUED, JobStatus.SUCCEEDED])
    ):
        expected = store.jobs(batch_id=batch_id, statuses=statuses, newest_first=newest_first)
        found: list[Job] = []
        while page := store.jobs(
            batch_id=batch_id, statuses=statuses, newest_first=newest_first, limit=3, after=found[-1] if found else None
        ):
            assert len(page) <= 3
            found += page
        assert found == expected
        keys = [(job.created_at, job.id) for job in found]
        assert keys == sorted(keys, reverse=newest_first)
        if batch_id is not None:
            assert {job.id for job in found} == {job.id for job in jobs if not statuses or job.status in statuses}


def steps(store: Store, read: Callable[[], object]) -> int:
    """Count the steps of SQLite's virtual machine for a query."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with reading(store.engine) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(step, 10)
    read()
    driver.set_progress_handler(None, 0)
    return taken


@only_sqlite
def test_lists_and_counts_cost_the_same_among_many_rows(store: Store) -> None:
    """No query reads rows that it does not return."""
    batch, jobs = in_all_states(store, 60)
    queries: dict[str, Callable[[], object]] = {
        "all": lambda: store.jobs(limit=10, newest_first=True),
        "after": lambda: store.jobs(limit=10, newest_first=True, after=jobs[30]),
        "status": lambda: store.jobs(limit=10, statuses=[JobStatus.FAILED], newest_first=True),
        "batch": lambda: store.jobs(limit=10, batch_id=batch.id, newest_first=True),
        "batch and status": lambda: store.jobs(limit=10, batch_id=batch.id, statuses=[JobStatus.SUCCEEDED]),
        "review": lambda: store.jobs(limit=10, needs_review=True),
        "counts": store.counts,
        "counts of the batch": lambda: store.counts(batch.id),
        "batches": lambda: newest_batches(store.engine, 10),
        "open batches": store.open_batches,
        "last end": lambda: store.last_order(batch.id),
        "last ends": lambda: store.last_ends(batch.id, 10),
        "ended": lambda: store.finished_after(batch.id, 5, limit=10),
        "incomplete": lambda: store.incomplete(jobs[-1].created_at + 1),
    }
    few = {name: steps(store, read) for name, read in queries.items()}
    assert all(few.values())
    more = [job.model_dump(exclude={"id", "created_at", "output", "finished_order"}) for job in jobs for _ in range(40)]
    store.add([Job(**values, output=f"file:///{number}.txt") for number, values in enumerate(more)])
    many = {name: steps(store, read) for name, read in queries.items()}
    # A tree of more rows is a level deeper at most.
    assert {name: (few[name], many[name]) for name in queries if many[name] > 2 * few[name] + 10} == {}
