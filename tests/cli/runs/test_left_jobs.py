"""The jobs that a killed run of the same command has left."""

from __future__ import annotations

import pytest

from cli.runs.left_jobs import cancel_left_jobs
from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.queue.broker_socket import connect
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import add_batch


def test_a_broker_that_is_away_keeps_no_left_job_alive(
    settings: Settings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker of a killed run ends a moment after it. The run that follows says so, and goes on by the rows."""
    runs = RunLocks(settings)
    dead, (left,) = add_batch(store, 1)
    cancel_left_jobs(dead.description, store=store, runs=runs, connection=connect(settings))
    (left,) = store.those([left.id])
    assert left.status == JobStatus.CANCELLED
    assert "The broker is away" in caplog.text
