"""`/v1/batches`: files of requests, answered in the background, as OpenAI's Batch API does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from api.batches.batch_events import batch_events
from api.batches.batch_intake import make_file_batch
from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.batch import BatchBody, BatchList, BatchObject, batch_object
from api.streaming.folder_results import END, EVENT_ID
from api.streaming.sse import EventStream
from jobs.errors import ConflictError
from jobs.store.file_batches.batch_tables import FileBatchStatus

router = APIRouter(tags=["batches"], route_class=JSONRoute)

BatchId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such batch"}}


@router.post(
    "/v1/batches",
    response_model=BatchObject,
    response_description="The batch; its file is validated in the background",
    responses={
        404: {"model": ErrorBody, "description": "No such file"},
        409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another batch"},
    },
)
def create_batch(
    body: BatchBody, resources: ResourcesDep, caller: CallerDep, idempotency_key: IdempotencyKey = None
) -> BatchObject:
    """Answer all requests of an uploaded file, in the background."""
    return batch_object(make_file_batch(body, resources, caller, idempotency_key), resources)


@router.get("/v1/batches", response_model=BatchList, response_description="A page of batches", responses=_NOT_FOUND)
def list_batches(
    resources: ResourcesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="The last_id of the previous page")] = None,
) -> BatchList:
    """List batches, newest first."""
    batches = resources.batches.page(after=after, limit=limit + 1)
    page = [batch_object(batch, resources) for batch in batches[:limit]]
    return BatchList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(batches) > limit,
    )


@router.get(
    "/v1/batches/{batch_id}", response_model=BatchObject, response_description="The batch", responses=_NOT_FOUND
)
def get_batch(batch_id: BatchId, resources: ResourcesDep, caller: CallerDep) -> BatchObject:
    """Get a batch: its status, its counts, and the ids of its files of results."""
    return batch_object(resources.batches.get(batch_id), resources)


@router.post(
    "/v1/batches/{batch_id}/cancel",
    response_model=BatchObject,
    response_description="The batch",
    responses={**_NOT_FOUND, 409: {"model": ErrorBody, "description": "The batch has ended already"}},
)
def cancel_batch(batch_id: BatchId, resources: ResourcesDep, caller: CallerDep) -> BatchObject:
    """Cancel a batch. The answers so far are kept. Cancelling it again changes nothing."""
    # First: the id may be that of another dialect's batch.
    resources.batches.get(batch_id)
    cancelled = resources.batches.wind_down(batch_id, FileBatchStatus.CANCELLED)
    batch = resources.batches.get(batch_id)
    if not cancelled and batch.ending != FileBatchStatus.CANCELLED:
        raise ConflictError(f"The batch '{batch_id}' is {batch.status} and can no longer be cancelled.")
    return batch_object(batch, resources)


@router.get(
    "/v1/batches/{batch_id}/events",
    response_class=EventStream,
    responses={
        **_NOT_FOUND,
        200: {"description": "Events: line for each line that was answered, progress, and at the end result or error"},
        204: {"description": "All events have been sent: do not reconnect"},
        429: {"model": ErrorBody, "description": "Too many streams are open"},
    },
)
async def follow_batch(
    batch_id: BatchId,
    resources: ResourcesDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
) -> Response:
    """Follow a batch by server-sent events. With Last-Event-ID, only the events after that one are sent."""
    batch = await run_in_threadpool(resources.batches.get, batch_id)
    if last_event_id == END:
        return Response(status_code=204)
    reserved = ExitStack()
    reserved.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        reserved.close()

    return EventStream(batch_events(batch.id, resources, int(last_event_id or 0)), at_end=at_end, error_name="error")
