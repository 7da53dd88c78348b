"""Webhooks for tests: a secret, and rows about jobs that have ended."""

from __future__ import annotations

from jobs.store.store import Store
from jobs.store.tables import Webhook
from jobs.store.webhook_rows import WebhookStore
from tests.support.rows import RESULT, make_job

#: The example of Standard Webhooks' own tests.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def ended_job(store: Store) -> str:
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, RESULT)
    return job.id


def add_hook(store: Store, hooks: WebhookStore, url: str = "https://a.example/hook") -> Webhook:
    """Add a webhook for a job that has ended."""
    webhook = Webhook(url=url, job_id=ended_job(store))
    hooks.add([webhook])
    return webhook


def found(hooks: WebhookStore, webhook: Webhook) -> Webhook:
    row = hooks.find(webhook.id)
    assert row is not None
    return row
