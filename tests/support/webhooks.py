"""Webhooks for tests: a secret, and rows about jobs that have ended."""

from __future__ import annotations

from sqlmodel import select

from jobs.store.connection import reading
from jobs.store.store import Store
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from tests.support.rows import RESULT, make_job

#: The example of Standard Webhooks' own tests.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def ended_job(store: Store) -> str:
    """Add a job that has succeeded, and return its id."""
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


def find_hook(store: Store, webhook_id: str) -> Webhook | None:
    """Read a webhook's row, or return None if there is none."""
    query = select(Webhook).where(Webhook.id == webhook_id)
    with reading(store.engine) as connection:
        row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Webhook(**row)


def found(store: Store, webhook: Webhook) -> Webhook:
    """Read the row of a webhook that is there."""
    row = find_hook(store, webhook.id)
    assert row is not None
    return row
