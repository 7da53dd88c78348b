"""From a body to a queued job."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace

from api.auth import Caller
from api.catalogue import public_name
from api.dialect import CompletionBody
from api.images import take_images
from api.resources import Resources
from jobs.creation import add_batch_once, check_room
from jobs.models import check_sees
from jobs.submission import resubmit
from jobs.tables import Batch, Job, Lane

logger = logging.getLogger("captionq.api")


def make_job(
    body: CompletionBody, resources: Resources, *, lane: Lane, caller: Caller, idempotency_key: str | None
) -> Job:
    """The row, not yet in the store. Raises CaptionqError where the request cannot be served."""
    info = resources.catalogue.resolve(body.model)
    references = body.images()
    if references:
        check_sees(replace(info, name=public_name(info.name)))
    request = body.to_request(info.name, take_images(references, resources))
    job = Job(
        lane=lane,
        model=info.name,
        request=request.model_dump_json(),
        digest=request.digest,
        streamed=True,
        roots=roots_of(resources),
        idempotency_key=scoped(idempotency_key, caller, lane),
    )
    if resources.settings.log_prompts:
        words = [message.text for message in body.messages]
        logger.info("%s asks %s", job.id, words, extra={"fields": {"event": "asked", "job": job.id, "prompt": words}})
    return job


def ask_again(jobs: Sequence[Job], resources: Resources, batch: Batch) -> Batch:
    """The batch of new jobs that ask what these asked; the earlier one, where it was asked with the same key."""
    check_room(resources.connection, Lane(jobs[0].lane), len(jobs), resources.settings)
    earlier = add_batch_once(resources.store, batch)
    if earlier is None:
        resubmit(batch, jobs, store=resources.store, connection=resources.connection)
    return earlier or batch


def roots_of(resources: Resources) -> str:
    """The folders that are served, as a job keeps them: the worker looks again when it opens a file."""
    return json.dumps([str(root.resolve()) for root in resources.settings.served_roots])


def scoped(key: str | None, caller: Caller, kind: str) -> str | None:
    """An idempotency key among those of all callers and all kinds of things that are made with one."""
    return None if key is None else hashlib.sha256("\0".join((caller.name, kind, key)).encode()).hexdigest()
