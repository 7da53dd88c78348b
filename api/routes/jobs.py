"""`/v1/jobs`: requests that are answered later; clients poll, follow, cancel and retry them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey, scoped_key
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.job_list import make_job_list
from api.intake.jobs import make_job, room_for, webhook_for
from api.intake.json_body import JSONRoute
from api.intake.retry import retry_jobs
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.chat.chat_request import JobBody
from api.schemas.job import JobList, JobObject, job_object
from api.schemas.wire import MAX_LIST_ITEMS
from api.streaming.job_events import END, EVENT_ID, event_stream
from api.streaming.sse import EventStream
from jobs.creation import cancel
from jobs.creation.create import Creation, create
from jobs.errors import ConflictError, InvalidRequestError
from jobs.store.tables import UNANSWERED, Batch, BatchKind, Job, JobStatus, Lane

router = APIRouter(tags=["jobs"], route_class=JSONRoute)

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such job"}}
_CREATION: dict[int | str, dict[str, Any]] = {
    200: {
        "model": JobObject | JobList,
        "description": "Repeated request: the jobs of the first one with this key",
        "headers": DESCRIBED,
    },
    201: {"headers": DESCRIBED},
    404: {"model": ErrorBody, "description": "No such model or file"},
    409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another request"},
    429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
}

JobId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]


@router.post(
    "/v1/jobs",
    status_code=201,
    response_model=JobObject | JobList,
    response_description="The job, or the jobs of the list",
    responses=_CREATION,
)
def create_jobs(
    body: JobBody | Annotated[list[JobBody], Field(min_length=1, max_length=MAX_LIST_ITEMS, fail_fast=True)],
    request: Request,
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JobObject | JobList:
    """Queue a request, or a list of requests: all of the list or nothing."""
    check_ignored(body, request, resources.settings)
    if isinstance(body, list):
        creation = make_job_list(body, resources, caller, idempotency_key)
    else:
        if body.priority:
            raise InvalidRequestError("priority is for lists of requests. Send the request as a list: [{…}].")
        lane = Lane(body.lane)
        room = room_for(1, lane, resources, idempotency_key)
        job = make_job(body, resources, lane=lane, route="jobs", caller=caller, idempotency_key=idempotency_key)
        creation = Creation([job], webhooks=webhook_for(body.webhook, resources, job_id=job.id), room=room)
    created = create(creation, store=resources.store, connection=resources.connection, settings=resources.settings)
    if created.repeated:
        response.status_code = 200
    if isinstance(created.made, Job):
        return job_object(created.made)
    jobs = list(creation.jobs) if not created.repeated else resources.store.jobs(batch_id=created.made.id)
    return _page(jobs, has_more=False)


@router.get("/v1/jobs", response_model=JobList, response_description="A page of jobs", responses=_NOT_FOUND)
def list_jobs(
    resources: ResourcesDep,
    caller: CallerDep,
    status: Annotated[list[JobStatus] | None, Query(description="Only jobs with one of these statuses")] = None,
    batch: Annotated[str | None, Query(max_length=64, description="Only jobs of this folder or list")] = None,
    needs_review: Annotated[bool, Query(description="Only jobs of folders whose answer a person should check")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=64, description="The last_id of the previous page")] = None,
) -> JobList:
    """List jobs, newest first."""
    store = resources.store
    jobs = store.jobs(
        batch_id=store.batch(batch).id if batch is not None else None,
        statuses=status or [],
        limit=limit + 1,
        newest_first=True,
        after=store.job(after) if after is not None else None,
        needs_review=needs_review,
    )
    return _page(jobs[:limit], has_more=len(jobs) > limit)


@router.get("/v1/jobs/{job_id}", response_model=JobObject, response_description="The job", responses=_NOT_FOUND)
def get_job(job_id: JobId, resources: ResourcesDep, caller: CallerDep) -> JobObject:
    """Get a job: its status, and its result if it has ended."""
    return job_object(resources.store.job(job_id))


@router.delete(
    "/v1/jobs/{job_id}",
    response_model=JobObject,
    response_description="The cancelled job",
    responses={**_NOT_FOUND, 409: {"model": ErrorBody, "description": "The job has ended already"}},
)
def cancel_job(job_id: JobId, resources: ResourcesDep, caller: CallerDep) -> JobObject:
    """Cancel a job, also while it runs. Cancelling it again changes nothing."""
    store = resources.store
    cancel.cancel([store.job(job_id).id], store=store, connection=resources.connection)
    job = store.job(job_id)
    if job.status != JobStatus.CANCELLED:
        raise ConflictError(f"The job '{job_id}' has already {job.status}.")
    return job_object(job)


@router.post(
    "/v1/jobs/{job_id}/retry",
    status_code=201,
    response_model=JobObject,
    response_description="The new job",
    responses={
        **_NOT_FOUND,
        200: {"model": JobObject, "description": "Repeated request: the job of the first one with this key"},
        409: {"model": ErrorBody, "description": "The job has neither failed nor been cancelled"},
        429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
    },
)
def retry_job(
    job_id: JobId,
    response: Response,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JobObject:
    """Retry a job that failed or was cancelled, as a new job. The old one stays as it is."""
    store = resources.store
    job = store.job(job_id)
    if job.status not in UNANSWERED:
        raise ConflictError(f"The job '{job_id}' is {job.status}; only failed and cancelled jobs can be retried.")
    batch = Batch(
        description=f"retry of {job_id}",
        kind=BatchKind.LIST,
        model=job.model,
        idempotency_key=scoped_key(idempotency_key, caller, "retry"),
        digest=job_id,
    )
    created = retry_jobs(lambda: [[job]], 1, resources, batch)
    response.status_code = 200 if created.repeated else 201
    return job_object(store.jobs(batch_id=created.made.id)[0])


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=EventStream,
    # FastAPI reads the status from the class only if its constructor has one.
    status_code=200,
    responses={
        **_NOT_FOUND,
        200: {
            "description": "Events: state, position, loading, loaded, tokens, restart, and at the end result or error"
        },
        204: {"description": "All events have been sent: do not reconnect"},
        429: {"model": ErrorBody, "description": "Too many streams are open"},
    },
)
async def follow_job(
    job_id: JobId,
    resources: ResourcesDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
) -> Response:
    """Follow a job by server-sent events. With Last-Event-ID, only the events after that one are sent."""
    job = await run_in_threadpool(resources.store.job, job_id)
    if last_event_id == END:
        return Response(status_code=204)
    return event_stream(job, resources, last_event_id or "0")


def _page(jobs: list[Job], *, has_more: bool) -> JobList:
    return JobList(
        data=[job_object(job) for job in jobs],
        first_id=jobs[0].id if jobs else None,
        last_id=jobs[-1].id if jobs else None,
        has_more=has_more,
    )
