"""`/v1/messages/batches`: many messages at once, answered in the background, as Anthropic's API does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import StreamingResponse

from api.batches.message_batch_intake import DIALECT, make_message_batch
from api.batches.message_results import message_results
from api.intake.idempotency_key import IdempotencyKey
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.dialects.anthropic_answers import AnthropicError
from api.schemas.dialects.anthropic_batches import (
    MessageBatch,
    MessageBatchBody,
    MessageBatchDeleted,
    MessageBatchList,
    message_batch,
)
from jobs.errors import InvalidRequestError, NotFoundError
from jobs.safe_text import safe_text
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus
from jobs.store.file_batches.file_lines import FileLines
from jobs.store.retention.pruning import delete_batch

_PATH = "/v1/messages/batches"
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": AnthropicError, "description": "The request is not valid"},
    401: {"model": AnthropicError, "description": "The API key is missing or invalid"},
    403: {"model": AnthropicError, "description": "Forbidden: the host"},
    408: {"model": AnthropicError, "description": "The body arrived too slowly"},
    413: {"model": AnthropicError, "description": "The body is too large"},
    503: {"model": AnthropicError, "description": "The broker or the database is not available"},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": AnthropicError, "description": "No such batch"}}

router = APIRouter(tags=["messages"], route_class=JSONRoute, responses=_ERRORS)

BatchId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
Cursor = Annotated[str | None, Query(max_length=64)]


@router.post(
    _PATH,
    response_model=MessageBatch,
    response_description="The batch",
    responses={
        200: {"headers": DESCRIBED},
        409: {"model": AnthropicError, "description": "The Idempotency-Key was used for another batch"},
    },
)
def create_message_batch(
    body: MessageBatchBody,
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> MessageBatch:
    """Answer all requests of a body, in the background."""
    check_ignored(body, request, resources.settings)
    return _shown(make_message_batch(body, resources, caller, idempotency_key), request, resources)


@router.get(_PATH, response_model=MessageBatchList, response_description="A page of batches")
def list_message_batches(
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    after_id: Cursor = None,
    before_id: Cursor = None,
) -> MessageBatchList:
    """List batches, newest first: those behind `after_id`, or those just ahead of `before_id`."""
    if after_id is not None and before_id is not None:
        raise InvalidRequestError("after_id and before_id exclude each other. Leave one of them out.")
    after, before = _row_id(after_id), _row_id(before_id)
    batches = resources.batches.page(after=after, before=before, limit=limit + 1, dialect=DIALECT)
    has_more = len(batches) > limit
    batches = batches[:limit] if before is None else batches[-limit:]
    page = [_shown(batch, request, resources) for batch in batches]
    return MessageBatchList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=has_more,
    )


@router.get(
    f"{_PATH}/{{message_batch_id}}",
    response_model=MessageBatch,
    response_description="The batch",
    responses=_NOT_FOUND,
)
def get_message_batch(
    message_batch_id: BatchId, request: Request, resources: ResourcesDep, caller: CallerDep
) -> MessageBatch:
    """Get a batch: its status and, when it has ended, its counts and the address of its results."""
    return _shown(_find(message_batch_id, resources), request, resources)


@router.post(
    f"{_PATH}/{{message_batch_id}}/cancel",
    response_model=MessageBatch,
    response_description="The batch",
    responses=_NOT_FOUND,
)
def cancel_message_batch(
    message_batch_id: BatchId, request: Request, resources: ResourcesDep, caller: CallerDep
) -> MessageBatch:
    """Cancel a batch. The answers so far are kept. Cancelling it again changes nothing."""
    batch = _find(message_batch_id, resources)
    cancelled = resources.batches.wind_down(batch.id, FileBatchStatus.CANCELLED)
    batch = _find(message_batch_id, resources)
    if not cancelled and batch.ending != FileBatchStatus.CANCELLED:
        raise InvalidRequestError(f"The batch '{message_batch_id}' has ended and can no longer be cancelled.")
    return _shown(batch, request, resources)


@router.get(
    f"{_PATH}/{{message_batch_id}}/results",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A line of JSON for each request", "content": {"application/x-jsonl": {}}},
        404: {"model": AnthropicError, "description": "No such batch, or it has not ended"},
    },
)
def get_message_batch_results(
    message_batch_id: BatchId, resources: ResourcesDep, caller: CallerDep
) -> StreamingResponse:
    """Download the results of a batch that has ended, in the order of its requests."""
    batch = _find(message_batch_id, resources)
    if not batch.has_ended:
        raise NotFoundError(f"The batch '{message_batch_id}' has no results yet: it has not ended. Try again later.")
    results = message_results(batch, FileLines(resources.store.engine))
    return StreamingResponse(results, media_type="application/x-jsonl")


@router.delete(
    f"{_PATH}/{{message_batch_id}}",
    response_model=MessageBatchDeleted,
    response_description="The batch is deleted",
    responses=_NOT_FOUND,
)
def delete_message_batch(message_batch_id: BatchId, resources: ResourcesDep, caller: CallerDep) -> MessageBatchDeleted:
    """Delete a batch that has ended, with its requests and results."""
    batch = _find(message_batch_id, resources)
    if not batch.has_ended:
        raise InvalidRequestError(f"The batch '{message_batch_id}' has not ended. Cancel it first.")
    delete_batch(resources.store.engine, batch.id)
    return MessageBatchDeleted(id=message_batch_id)


def _find(public_id: str, resources: Resources) -> FileBatch:
    try:
        return resources.batches.get(_row_id(public_id) or "", dialect=DIALECT)
    except NotFoundError:
        raise NotFoundError(f"Batch '{safe_text(public_id)}' does not exist. GET {_PATH} lists all batches.") from None


def _row_id(public_id: str | None) -> str | None:
    return None if public_id is None else public_id.removeprefix("msg")


def _shown(batch: FileBatch, request: Request, resources: Resources) -> MessageBatch:
    return message_batch(batch, FileLines(resources.store.engine), str(request.base_url))
