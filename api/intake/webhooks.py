"""Webhooks: who is to be told, and what they are sent."""

from __future__ import annotations

from api.runtime.resources import Resources
from jobs.errors import InvalidRequestError
from jobs.net.address_rules import check_url
from jobs.store.tables import Webhook


def webhook_for(
    url: str | None, resources: Resources, *, job_id: str | None = None, batch_id: str | None = None
) -> list[Webhook]:
    """The row of a webhook, if one is wanted. Raises InvalidRequestError, AddressForbiddenError."""
    if url is None:
        return []
    if resources.settings.webhook_secret is None:
        raise InvalidRequestError(
            "There are no webhooks here: CAPTIONQ_WEBHOOK_SECRET is not set. Poll the job instead."
        )
    check_url(url, resources.settings)
    return [Webhook(url=url, job_id=job_id, batch_id=batch_id)]
