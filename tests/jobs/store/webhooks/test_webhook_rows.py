"""Rows of webhooks: when they are due, and which process claims them."""

from __future__ import annotations

import threading
import time

from sqlalchemy import update

from jobs.configuration.settings import Settings
from jobs.errors import WebhookError
from jobs.store.connection import open_database, writing
from jobs.store.store import Store
from jobs.store.webhooks.webhook_retries import SCHEDULE
from jobs.store.webhooks.webhook_rows import CLAIM_SECONDS, WebhookStore, add_webhooks
from jobs.store.webhooks.webhook_table import WEBHOOK, Webhook
from jobs.webhooks import message
from tests.support.rows import RESULT, add_batch, make_job
from tests.support.webhooks import add_hook, ended_job, find_hook, found


def test_a_jobs_webhook_is_due_when_the_job_has_ended(store: Store, hooks: WebhookStore) -> None:
    """A success and a cancellation both count."""
    jobs = [make_job(str(number)) for number in range(3)]
    store.add(jobs)
    webhooks = [Webhook(url="https://a.example/", job_id=job.id) for job in jobs]
    hooks.add(webhooks)
    assert hooks.due(time.time()) == []
    store.claim([jobs[0].id], "worker")
    assert hooks.due(time.time()) == []
    store.succeed(jobs[0].id, RESULT)
    store.cancel([jobs[1].id])
    assert {webhook_id for webhook_id, _ in hooks.due(time.time())} == {webhooks[0].id, webhooks[1].id}


def test_a_batchs_webhook_is_due_when_its_last_job_has_ended(store: Store, hooks: WebhookStore) -> None:
    """It is not due before; other batches do not matter."""
    (batch, jobs), (_, others) = add_batch(store, 3), add_batch(store, 1)
    webhook = Webhook(url="https://a.example/hook", batch_id=batch.id)
    hooks.add([webhook])
    for job in jobs:
        assert hooks.due(time.time()) == []
        store.cancel([job.id])
    assert hooks.due(time.time()) == [(webhook.id, webhook.url)]
    assert store.job(others[0].id).status == "queued"


def test_webhooks_are_written_with_their_jobs_or_not_at_all(
    store: Store, hooks: WebhookStore, webhook_settings: Settings
) -> None:
    """Webhooks are inserted in the transaction that inserts their jobs."""
    job_id, engine = ended_job(store), open_database(webhook_settings)
    webhook = Webhook(url="https://a.example/", job_id=job_id)
    with engine.connect() as connection, connection.begin() as transaction:
        add_webhooks(connection, [webhook])
        transaction.rollback()
    assert find_hook(store, webhook.id) is None
    with writing(engine) as connection:
        add_webhooks(connection, [webhook])
        add_webhooks(connection, [])
    engine.dispose()
    assert found(store, webhook) == webhook


def test_a_claim_excludes_others_until_it_runs_out(store: Store, hooks: WebhookStore) -> None:
    """If the claiming process dies, another process makes the next attempt."""
    webhook, now = add_hook(store, hooks), time.time()
    claimed = hooks.claim(webhook.id, now)
    assert claimed is not None
    assert claimed.attempts == 1
    assert hooks.claim(webhook.id, now) is None
    assert hooks.due(now) == []
    later = hooks.claim(webhook.id, now + CLAIM_SECONDS)
    assert later is not None
    assert later.attempts == 2
    assert CLAIM_SECONDS > message.ANSWER_SECONDS * 2


def test_of_many_claims_at_once_one_wins(store: Store, hooks: WebhookStore, webhook_settings: Settings) -> None:
    """The claims come from as many connections."""
    webhook, now = add_hook(store, hooks), time.time()
    engines = [open_database(webhook_settings) for _ in range(6)]
    won: list[Webhook] = []
    start = threading.Barrier(len(engines))

    def claim(other: WebhookStore) -> None:
        start.wait()
        row = other.claim(webhook.id, now)
        if row is not None:
            won.append(row)

    threads = [threading.Thread(target=claim, args=(WebhookStore(engine),)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert len(won) == 1


def test_failures_follow_the_schedule_and_end(store: Store, hooks: WebhookStore) -> None:
    """Ten attempts in about three days, as Standard Webhooks proposes."""
    webhook, now, waits = add_hook(store, hooks), time.time(), []
    while True:
        claimed = hooks.claim(webhook.id, now)
        assert claimed is not None
        again = hooks.failed(claimed, WebhookError(f"failure {claimed.attempts}"), now)
        assert found(store, webhook).next_attempt_at == again
        if again is None:
            break
        waits.append(round(again - now))
        assert hooks.claim(webhook.id, again - 1) is None
        now = again
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400] == list(SCHEDULE)
    row = found(store, webhook)
    assert (row.attempts, row.last_error, row.delivered_at) == (10, "failure 10", None)
    assert hooks.due(now + 1e6) == []


def test_an_attempt_that_outlived_its_claim_changes_nothing(store: Store, hooks: WebhookStore) -> None:
    """Neither a later claim nor its delivery is changed."""
    webhook, now = add_hook(store, hooks), time.time()
    first = hooks.claim(webhook.id, now)
    second = hooks.claim(webhook.id, now + CLAIM_SECONDS)
    assert first is not None
    assert second is not None
    assert hooks.failed(first, WebhookError(), now) is None
    assert found(store, webhook).next_attempt_at == second.next_attempt_at
    hooks.delivered(second)
    assert hooks.failed(second, WebhookError(), now) is None
    row = found(store, webhook)
    assert (row.next_attempt_at, row.last_error) == (None, None)
    assert row.delivered_at is not None


def test_a_clock_that_is_set_back_holds_no_webhook_up(store: Store, hooks: WebhookStore) -> None:
    """A time further away than the wait of its attempt counts as now; a wait that is right is kept."""
    webhook, ahead = add_hook(store, hooks), time.time() + 7200
    with writing(store.engine) as connection:
        connection.execute(update(WEBHOOK).values(next_attempt_at=ahead))
    assert hooks.due(time.time()) == [(webhook.id, webhook.url)]
    claimed = hooks.claim(webhook.id, ahead)
    assert claimed is not None
    assert hooks.due(ahead) == []
    assert hooks.failed(claimed, WebhookError("no"), ahead) is not None
    assert hooks.due(ahead) == []
    assert hooks.due(time.time()) == [(webhook.id, webhook.url)]
