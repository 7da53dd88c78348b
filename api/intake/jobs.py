"""From a body to a queued job, and its webhook."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from api.intake.idempotency_key import scoped_key
from api.intake.images import take_images
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.chat.chat_request import CompletionBody
from jobs.creation.backpressure import Room, check_room
from jobs.errors import InvalidRequestError
from jobs.models.model_info import check_sees
from jobs.models.prompt_length import check_characters, prompt_limit
from jobs.mounts import mounts
from jobs.net.address_rules import check_url
from jobs.objects.paths import is_object
from jobs.store.tables import Job, Lane
from jobs.store.webhooks.webhook_table import Webhook

logger = logging.getLogger("captionq.api")


def room_for(count: int, lane: Lane, resources: Resources, idempotency_key: str | None) -> Room | None:
    """Check that the lane has room for new jobs, before their images are stored. Raises LaneFullError, InvalidRequestError.

    None: with a key the request may be a repeated one, which is answered whether there is room or not.
    """
    if idempotency_key is not None:
        return None
    return check_room(resources.store, resources.connection, lane, count, resources.settings)


def make_job(
    body: CompletionBody, resources: Resources, *, lane: Lane, route: str, caller: Caller, idempotency_key: str | None
) -> Job:
    """Return the row of a request, not yet stored, for a lane that has room (`room_for`).

    Args:
        route: the name within which the key is unique.
        idempotency_key: as the client sent it.

    Raises:
        CaptionqError: the request cannot be served.
    """
    key = scoped_key(idempotency_key, caller, f"{route} {lane}")
    return job_for(body, resources, lane=lane, stored_key=key)


def job_for(body: CompletionBody, resources: Resources, *, lane: Lane, stored_key: str | None = None) -> Job:
    """Return the row of a request without checking the lane's room. Raises CaptionqError."""
    info = resources.catalogue.resolve(body.model)
    limit = prompt_limit(info.context_length, resources.settings)
    check_characters((message.text for message in body.messages), limit)
    references = body.images()
    if references:
        check_sees(info)
    request = body.to_request(info.name, take_images(references, resources))
    job = Job(
        lane=lane,
        model=info.name,
        request=request.model_dump_json(),
        digest=request.digest,
        streamed=True,
        roots=served_roots(resources),
        idempotency_key=stored_key,
    )
    if resources.settings.log_prompts:
        words = [message.text for message in body.messages]
        logger.info("%s asks %s", job.id, words, extra={"fields": {"event": "asked", "job": job.id, "prompt": words}})
    return job


def served_roots(resources: Resources) -> str:
    """Return the served folders as a job stores them: the worker checks them again when it opens a file."""
    served = resources.settings.served_roots
    folders = [Path(os.path.realpath(root)) for root in served if not is_object(root)]
    objects = [root for root in served if is_object(root)]
    return json.dumps([str(root) for root in (*mounts().named_roots(folders), *objects)])


def webhook_for(
    url: str | None, resources: Resources, *, job_id: str | None = None, batch_id: str | None = None
) -> list[Webhook]:
    """Return the row of the webhook, if the client wants one. Raises InvalidRequestError, AddressForbiddenError."""
    if url is None:
        return []
    if resources.settings.webhook_secret is None:
        raise InvalidRequestError("Webhooks are off: set CAPTIONQ_WEBHOOK_SECRET, or poll the job instead.")
    check_url(url, resources.settings)
    return [Webhook(url=url, job_id=job_id, batch_id=batch_id)]
