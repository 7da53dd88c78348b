"""The removal of old rows."""

from __future__ import annotations

import time

import pytest

from jobs.configuration.settings import Settings
from jobs.creation.run_locks import RunLocks
from jobs.errors import NotFoundError
from jobs.store.connection import writing
from jobs.store.retention import pruning
from jobs.store.retention.pruning import Pruned, prune
from jobs.store.store import Store
from jobs.store.webhooks.webhook_rows import add_webhooks
from jobs.store.webhooks.webhook_table import Webhook
from tests.support.rows import add_batch, make_job


def test_only_what_has_ended_long_ago_is_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open jobs stay, and so does a batch one of whose jobs is open. Several transactions remove many rows."""
    monkeypatch.setattr(pruning, "ROWS_A_TRANSACTION", 2)
    (ended, old), (open_batch, half) = add_batch(store, 5), add_batch(store, 2)
    alone, waiting = make_job("alone"), make_job("waiting")
    store.add([alone, waiting])
    store.cancel([*(job.id for job in old), half[0].id, alone.id])
    assert prune(store.engine, time.time() - 60) == Pruned(0, 0)
    assert prune(store.engine, time.time() + 60) == Pruned(6, 1)
    assert {job.id for job in store.jobs()} == {half[0].id, half[1].id, waiting.id}
    assert store.batch(open_batch.id)
    with pytest.raises(NotFoundError):
        store.batch(ended.id)


def test_rows_with_an_undelivered_webhook_stay(store: Store) -> None:
    """The message is made from the row when it is sent."""
    (batch, jobs), job = add_batch(store, 1), make_job("alone")
    store.add([job])
    with writing(store.engine) as connection:
        urls = [Webhook(url="https://a.example/", batch_id=batch.id), Webhook(url="https://a.example/", job_id=job.id)]
        add_webhooks(connection, urls)
    store.cancel([jobs[0].id, job.id])
    assert prune(store.engine, time.time() + 60) == Pruned(0, 0)


def test_a_batch_that_is_still_being_made_stays(store: Store) -> None:
    """Its first jobs have ended, and others are to come."""
    batch, jobs = add_batch(store, 1)
    with writing(store.engine) as connection:
        connection.exec_driver_sql(f"UPDATE batch SET complete = false WHERE id = '{batch.id}'")
    store.cancel([jobs[0].id])
    assert prune(store.engine, time.time() + 60) == Pruned(0, 0)


def test_the_batch_of_a_command_that_lives_stays(settings: Settings, store: Store) -> None:
    """A sample waits for a person's answer, perhaps for days; then more jobs come."""
    batch, jobs = add_batch(store, 1)
    store.cancel([jobs[0].id])
    runs = RunLocks(settings)
    with runs.hold(batch):
        assert prune(store.engine, time.time() + 60, held=runs.held) == Pruned(0, 0)
    assert prune(store.engine, time.time() + 60, held=runs.held) == Pruned(1, 1)
