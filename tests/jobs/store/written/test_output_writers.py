"""At most one open job writes a file."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from jobs.errors import ConflictError
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job, JobStatus
from tests.support.postgres import only_sqlite
from tests.support.rows import add_batch, make_job


def test_no_second_job_about_a_file_is_stored(store: Store) -> None:
    """The refusal names the request that queued the first job. When that job has ended, the file is free."""
    batch = Batch(description="x", model="demo", kind=BatchKind.FOLDER)
    store.add_batch(batch)
    first = make_job(batch=batch)
    store.add([first])
    with pytest.raises(ConflictError, match=rf"POST /v1/folders \({batch.id}\)"):
        store.add([make_job("other"), make_job()])
    assert [job.id for job in store.jobs()] == [first.id]
    with pytest.raises(ConflictError, match="Two of these jobs"):
        store.add([make_job("other"), make_job("other")])
    store.cancel([first.id])
    store.add([make_job()])


def test_jobs_of_dead_runs_about_existing_texts_are_cancelled(store: Store) -> None:
    """Jobs of a live run are not, and running jobs only on request."""
    dead, left = add_batch(store, 600)
    _, live = add_batch(store, 1)
    store.claim([left[0].id], "worker")
    outputs = [job.output or "" for job in left + live]
    cancelled = store.cancel_abandoned(outputs, {dead.id}, (JobStatus.QUEUED,))
    assert sorted(cancelled) == sorted(job.id for job in left[1:])
    assert store.cancel_abandoned(outputs, {dead.id}) == [left[0].id]
    assert store.job(live[0].id).status == JobStatus.QUEUED
    assert store.counts(dead.id)[JobStatus.CANCELLED] == 600


@only_sqlite
def test_writers_are_found_by_the_file_and_not_among_all_open_jobs(store: Store) -> None:
    """With the index on the status SQLite would read a million rows for each chunk of a folder."""
    asked: list[tuple[str, Any]] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    jobs: list[Job] = add_batch(store, 3)[1]
    asked.clear()
    store.writers([job.output or "" for job in jobs])
    statement, parameters = asked[-1]
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert "job_output" in str(plan)
    assert "job_status" not in str(plan)
