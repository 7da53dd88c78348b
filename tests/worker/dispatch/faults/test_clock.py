"""A clock that was set back by two days: times are not negative, and nothing waits for the clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import update

from jobs.configuration.settings import Settings
from jobs.queue.lanes import lanes
from jobs.queue.reconcile import reconcile
from jobs.queue.workers.taken_ids import bring_due
from jobs.store.connection import writing
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from jobs.store.webhooks.webhook_rows import WebhookStore, add_webhooks
from jobs.store.webhooks.webhook_table import Webhook
from tests.support.postgres import both_databases
from tests.support.rows import make_job
from tests.worker.dispatch.faults.conftest import QueueTexts
from worker import service
from worker.dispatch.queue_worker import QueueWorker
from worker.dispatch.retries import LONGEST_DELAY

DAYS = 2 * 86_400.0


def set_back(store: Store, *jobs: Job) -> None:
    """Let the rows come from the future, as after a clock that was set back."""
    with writing(store.engine) as connection:
        table = Job.__table__  # type: ignore[attr-defined]
        ids = [job.id for job in jobs]
        connection.execute(update(table).where(table.c.id.in_(ids)).values(created_at=time.time() + DAYS))


@both_databases
def test_the_time_in_the_queue_is_never_negative(store: Store) -> None:
    """A job that was queued before the clock was set back waited for no time; any other for its own."""
    batch = Batch(description="pictures", model="stub")
    store.add_batch(batch)
    jobs = [make_job("one", batch), make_job("two", batch)]
    store.add(jobs)
    set_back(store, jobs[0])
    claimed = store.claim([job.id for job in jobs], "worker")
    assert claimed[jobs[0].id].queue_seconds == 0.0
    assert 0 < (claimed[jobs[1].id].queue_seconds or 0.0) < 60


def test_an_urgent_row_without_an_entry_gets_one(store: Store, connection: Redis) -> None:
    """Its maker died before it pushed, and the row seems to be made in two days."""
    job = Job(lane=Lane.INTERACTIVE, model="stub", request="{}", digest="x")
    store.add([job])
    reconcile(store, connection, older_than=10.0)
    assert lanes(connection)[0].ids() == set()
    set_back(store, job)
    reconcile(store, connection, older_than=10.0)
    assert lanes(connection)[0].ids() == {job.id}


def test_a_retry_that_was_put_off_before_comes_in_time(
    stub: Settings, store: Store, connection: Redis, queue_texts: QueueTexts, tmp_path: Path
) -> None:
    """Its time is days ahead. One whose backoff is not over waits on."""
    late, waiting = queue_texts(tmp_path / "pictures", 2)
    queue = next(one for one in lanes(connection) if one.name == Lane.BULK)
    registry = queue.scheduled_job_registry
    connection.delete(queue.key)
    connection.zadd(registry.key, {late.id: time.time() + DAYS, waiting.id: time.time() + LONGEST_DELAY - 5})
    assert LONGEST_DELAY - 6 < bring_due(connection, [queue], LONGEST_DELAY) <= LONGEST_DELAY - 5
    assert queue.get_job_ids() == [late.id]
    assert registry.get_job_ids() == [waiting.id]
    service.run(stub, burst=True)
    assert [store.job(one.id).status for one in (late, waiting)] == [JobStatus.SUCCEEDED, JobStatus.QUEUED]


def test_maintenance_follows_no_clock(connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """rq would wait until its clock has caught up."""
    worker = QueueWorker("worker", connection)
    assert worker.should_run_maintenance_tasks
    worker.run_maintenance_tasks()
    assert not worker.should_run_maintenance_tasks
    worker._maintained_at -= worker.maintenance_interval + 0.1
    worker.last_cleaned_at = worker.last_cleaned_at.replace(year=2200)
    assert worker.should_run_maintenance_tasks


def test_a_webhook_is_sent_and_an_abandoned_batch_is_given_up(store: Store) -> None:
    """Their times lie in the future."""
    job, soon, abandoned = make_job("one", None), time.time() + 5, Batch(description="x", model="stub")
    abandoned.complete, abandoned.created_at = False, time.time() + DAYS
    store.add_batch(abandoned)
    store.add([job])
    store.cancel([job.id])
    with writing(store.engine) as connection:
        for at in (time.time() + 100 * DAYS, soon):
            add_webhooks(connection, [Webhook(job_id=job.id, url="https://x.example", next_attempt_at=at)])
    webhooks = WebhookStore(store.engine)
    ((late, _),) = webhooks.due(time.time())
    assert webhooks.claim(late, time.time()) is not None
    assert store.incomplete(time.time() - 60) == [abandoned.id]
