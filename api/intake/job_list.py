"""From a list of bodies to one batch of jobs: all of them or none."""

from __future__ import annotations

import hashlib

from api.intake.idempotency_key import scoped_key
from api.intake.jobs import job_for, room_for, webhook_for
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.chat.chat_request import JobBody
from jobs.creation.create import Creation
from jobs.errors import InvalidRequestError
from jobs.store.tables import Batch, BatchKind, Job, Lane


def make_job_list(bodies: list[JobBody], resources: Resources, caller: Caller, idempotency_key: str | None) -> Creation:
    """Return the rows of a batch, its jobs and its webhooks, not yet stored. Raises CaptionqError."""
    most = resources.settings.max_jobs_per_request
    if len(bodies) > most:
        raise InvalidRequestError(
            f"The list has {len(bodies)} requests; the limit is {most} (CAPTIONQ_MAX_JOBS_PER_REQUEST). "
            "Send it in parts."
        )
    if len({body.lane for body in bodies}) > 1:
        raise InvalidRequestError("All requests of a list need the same lane.")
    if len({body.priority for body in bodies}) > 1:
        raise InvalidRequestError("All requests of a list need the same priority.")
    lane = Lane(bodies[0].lane)
    # `create` looks again: storing the images of a long list takes its time.
    room_for(len(bodies), lane, resources, idempotency_key)
    jobs = [job_for(body, resources, lane=lane) for body in bodies]
    batch = Batch(
        description=f"a list of {len(jobs)} requests",
        kind=BatchKind.LIST,
        model=jobs[0].model,
        priority=bodies[0].priority,
        idempotency_key=scoped_key(idempotency_key, caller, BatchKind.LIST),
        digest=_digest_of(bodies, jobs),
    )
    hooks = [
        hook
        for body, job in zip(bodies, jobs, strict=True)
        for hook in webhook_for(body.webhook, resources, job_id=job.id)
    ]
    for job in jobs:
        job.batch_id = batch.id
    return Creation(jobs, batch, hooks)


def _digest_of(bodies: list[JobBody], jobs: list[Job]) -> str:
    requests = "".join(f"{job.digest} {body.webhook}\n" for body, job in zip(bodies, jobs, strict=True))
    return hashlib.sha256(f"{jobs[0].lane}\n{requests}".encode()).hexdigest()
