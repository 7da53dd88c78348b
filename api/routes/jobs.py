"""`/v1/jobs`: requests that wait for nobody; poll them, follow them, cancel them, ask again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.errors.body import ErrorBody
from api.intake.jobs import ask_again, job_for, make_job, scoped
from api.intake.webhooks import webhook_for
from api.middleware.api_keys import Caller, CallerDep
from api.runtime.dependencies import IdempotencyKey, ResourcesDep
from api.runtime.resources import Resources
from api.schemas.chat_request import MOST_IN_BODY, CompletionBody
from api.schemas.job import JobList, JobObject, job_object
from api.schemas.strict_json import JSONRoute
from api.streaming.job_events import END, EVENT_ID, job_events
from api.streaming.sse import EventStream
from jobs.creation import cancel
from jobs.creation.create import Creation, check_room, create
from jobs.errors import ConflictError, InvalidRequestError
from jobs.store.tables import UNANSWERED, Batch, BatchKind, Job, JobStatus, Lane

router = APIRouter(tags=["jobs"], route_class=JSONRoute)

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such job"}}
_CREATION: dict[int | str, dict[str, Any]] = {
    200: {"description": "The same request, with the same Idempotency-Key, came before", "model": JobObject | JobList},
    404: {"model": ErrorBody, "description": "No such model or file"},
    409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another request"},
    429: {"model": ErrorBody, "description": "The lane is full"},
}

JobId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]


class JobBody(CompletionBody):
    """A chat completion that is asked for now and fetched later."""

    lane: Literal["interactive", "bulk"] = Field(default="bulk", description="interactive: ahead of all bulk work")
    webhook: str | None = Field(default=None, max_length=2048, description="Is sent the job when it has ended")


@router.post("/v1/jobs", status_code=201, response_model=JobObject | JobList, responses=_CREATION)
def create_jobs(
    body: JobBody | Annotated[list[JobBody], Field(min_length=1, max_length=MOST_IN_BODY, fail_fast=True)],
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JobObject | JobList:
    """Queue one request, or a list of them, which becomes a batch: all of them or none."""
    if isinstance(body, list):
        creation = _list_creation(body, resources, caller, idempotency_key)
    else:
        lane = Lane(body.lane)
        job = make_job(body, resources, lane=lane, route="jobs", caller=caller, idempotency_key=idempotency_key)
        creation = Creation([job], webhooks=webhook_for(body.webhook, resources, job_id=job.id))
    created = create(creation, store=resources.store, connection=resources.connection, settings=resources.settings)
    if created.repeated:
        response.status_code = 200
    if isinstance(created.made, Job):
        return job_object(created.made)
    jobs = list(creation.jobs) if not created.repeated else resources.store.jobs(batch_id=created.made.id)
    return _page(jobs, has_more=False)


@router.get("/v1/jobs", response_model=JobList, responses=_NOT_FOUND)
def list_jobs(
    resources: ResourcesDep,
    caller: CallerDep,
    status: Annotated[list[JobStatus] | None, Query()] = None,
    batch: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=64, description="The last_id of the page before")] = None,
) -> JobList:
    """The newest first, a page at a time."""
    store = resources.store
    jobs = store.jobs(
        batch_id=store.batch(batch).id if batch is not None else None,
        statuses=status or [],
        limit=limit + 1,
        newest_first=True,
        after=store.job(after) if after is not None else None,
    )
    return _page(jobs[:limit], has_more=len(jobs) > limit)


@router.get("/v1/jobs/{job_id}", response_model=JobObject, responses=_NOT_FOUND)
def get_job(job_id: JobId, resources: ResourcesDep, caller: CallerDep) -> JobObject:
    """Where it is, and its result once it is there."""
    return job_object(resources.store.job(job_id))


@router.delete(
    "/v1/jobs/{job_id}",
    response_model=JobObject,
    responses={**_NOT_FOUND, 409: {"model": ErrorBody, "description": "It has ended already"}},
)
def cancel_job(job_id: JobId, resources: ResourcesDep, caller: CallerDep) -> JobObject:
    """Cancel it, also while it runs. One that is cancelled stays cancelled."""
    store = resources.store
    cancel.cancel([store.job(job_id).id], store=store, connection=resources.connection)
    job = store.job(job_id)
    if job.status != JobStatus.CANCELLED:
        raise ConflictError(f"The job '{job_id}' has {job.status} already.")
    return job_object(job)


@router.post(
    "/v1/jobs/{job_id}/retry",
    status_code=201,
    response_model=JobObject,
    responses={
        **_NOT_FOUND,
        200: {"model": JobObject, "description": "The same request, with the same Idempotency-Key, came before"},
        409: {"model": ErrorBody, "description": "It has not failed"},
        429: {"model": ErrorBody, "description": "The lane is full"},
    },
)
def retry_job(
    job_id: JobId,
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JobObject:
    """Ask again, as a new job: this one stays as it is."""
    store = resources.store
    job = store.job(job_id)
    if job.status not in UNANSWERED:
        raise ConflictError(f"The job '{job_id}' has not failed: it is {job.status}.")
    batch = Batch(
        description=f"retry of {job_id}",
        kind=BatchKind.LIST,
        model=job.model,
        idempotency_key=scoped(idempotency_key, caller, "retry"),
        digest=job_id,
    )
    created = ask_again(lambda: [[job]], 1, resources, batch)
    response.status_code = 200 if created.repeated else 201
    return job_object(store.jobs(batch_id=created.made.id)[0])


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=EventStream,
    responses={
        **_NOT_FOUND,
        200: {
            "description": "Events: state, position, loading, loaded, tokens, restart, and result (or error) at last"
        },
        204: {"description": "Everything has been told: do not come back"},
        429: {"model": ErrorBody, "description": "Too many streams are open"},
    },
)
async def follow_job(
    job_id: JobId,
    resources: ResourcesDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
) -> Response:
    """What happens to it, as it happens. With Last-Event-ID: what has happened since then."""
    job = await run_in_threadpool(resources.store.job, job_id)
    if last_event_id == END:
        return Response(status_code=204)
    return _events(job, resources, last_event_id or "0")


def _events(job: Job, resources: Resources, after: str) -> EventStream:
    held = ExitStack()
    subscription = held.enter_context(resources.hub.follow(job.id, after, leaves=True))

    async def at_end() -> None:
        held.close()

    events: AsyncIterator[bytes] = job_events(job, resources, subscription)
    return EventStream(events, at_end=at_end, error_name="error")


def _list_creation(
    bodies: list[JobBody], resources: Resources, caller: Caller, idempotency_key: str | None
) -> Creation:
    most = resources.settings.max_jobs_per_request
    if len(bodies) > most:
        raise InvalidRequestError(
            f"The list has {len(bodies)} requests; {most} are allowed (CAPTIONQ_MAX_JOBS_PER_REQUEST). Send it in parts."
        )
    lanes = {body.lane for body in bodies}
    if len(lanes) > 1:
        raise InvalidRequestError("All requests of a list go into one lane.")
    lane = Lane(bodies[0].lane)
    if idempotency_key is None:
        check_room(resources.connection, lane, len(bodies), resources.settings)
    jobs = [job_for(body, resources, lane=lane) for body in bodies]
    batch = Batch(
        description=f"a list of {len(jobs)} requests",
        kind=BatchKind.LIST,
        model=jobs[0].model,
        idempotency_key=scoped(idempotency_key, caller, BatchKind.LIST),
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
    asked = "".join(f"{job.digest} {body.webhook}\n" for body, job in zip(bodies, jobs, strict=True))
    return hashlib.sha256(f"{jobs[0].lane}\n{asked}".encode()).hexdigest()


def _page(jobs: list[Job], *, has_more: bool) -> JobList:
    return JobList(
        data=[job_object(job) for job in jobs],
        first_id=jobs[0].id if jobs else None,
        last_id=jobs[-1].id if jobs else None,
        has_more=has_more,
    )
