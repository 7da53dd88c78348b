"""`/v1/responses`: OpenAI's newer chat, whose answers can be retrieved, continued, and made in the background."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.dialects.conversation import answer, queue
from api.dialects.responses.answers import OpenAIResponse
from api.dialects.responses.items import input_items, response_of
from api.dialects.responses.stored import continued_chat, find, row_of
from api.dialects.responses.translation import check_storing
from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.dialects.response_object import ResponseDeleted, ResponseItemList, ResponseObject
from api.schemas.dialects.responses import ResponsesBody
from api.streaming.chat_answer import ChatAnswer
from jobs.creation import cancel
from jobs.errors import InvalidRequestError
from jobs.store.response_rows import StoredResponse, delete_response
from jobs.store.tables import Job, Lane

router = APIRouter(tags=["responses"], route_class=JSONRoute)

ResponseId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "No such response"}}
_EVENTS: dict[str, Any] = {"content": {"text/event-stream": {}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
    500: {"model": ErrorBody, "description": "Generation failed"},
    504: {"model": ErrorBody, "description": "No answer within the deadline; the job goes on and can be polled"},
}


@router.post(
    "/v1/responses",
    response_model=ResponseObject,
    responses={
        200: {
            "description": "The response; with `stream` as events, the last of which is `response.completed`",
            "headers": DESCRIBED,
            **_EVENTS,
        },
        404: {"model": ErrorBody, "description": "No such model, file or previous response"},
        409: {"model": ErrorBody, "description": "The previous response has no answer, or the key was used before"},
        **_ANSWERS,
    },
)
async def create_response(
    body: ResponsesBody,
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer a conversation that may contain images; with `stream`, token by token; with `background`, later.

    If the client closes the connection, the job is cancelled, unless it is in the background or has an Idempotency-Key.
    """
    check_ignored(body, request, resources.settings)
    check_storing(body)
    chat = await run_in_threadpool(continued_chat, body, resources)

    def made_row(job: Job) -> StoredResponse:
        return row_of(job, body, chat)

    stored = None if body.store is False else made_row
    lane = Lane.BULK if body.background and body.service_tier != "priority" else Lane.INTERACTIVE
    if body.background and not body.stream:
        created = await run_in_threadpool(
            queue, chat, resources, caller, idempotency_key=idempotency_key, route="responses", lane=lane, stored=stored
        )
        assert isinstance(created.made, Job)
        request.scope["captionq.job"] = created.made.id
        response = response_of(created.made, made_row(created.made))
        return Response(response.model_dump_json(), media_type="application/json")
    return await answer(
        chat,
        lambda job: OpenAIResponse(job, made_row(job)),
        stream=bool(body.stream),
        request=request,
        resources=resources,
        caller=caller,
        idempotency_key=idempotency_key,
        route="responses",
        lane=lane,
        stored=stored,
        outlives_client=bool(body.background),
    )


@router.get(
    "/v1/responses/{response_id}",
    response_model=ResponseObject,
    responses={200: {"description": "The response; with `stream` its events", **_EVENTS}, **_NOT_FOUND, **_ANSWERS},
)
async def get_response(
    response_id: ResponseId,
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    stream: Annotated[
        bool, Query(description="Send the response's events, from the first or after `starting_after`")
    ] = False,
    starting_after: Annotated[
        int, Query(ge=-1, description="The sequence_number of the last event that you have")
    ] = -1,
) -> Response:
    """Get a stored response, or follow one that is being made."""
    job, stored = await run_in_threadpool(find, resources.store, response_id)
    if not stream:
        return Response(response_of(job, stored).model_dump_json(), media_type="application/json")
    form = OpenAIResponse(job, stored, after=starting_after)
    return await ChatAnswer(job, request, resources, form, outlives_client=True).stream()


@router.post(
    "/v1/responses/{response_id}/cancel",
    response_model=ResponseObject,
    response_description="The response",
    responses=_NOT_FOUND,
)
def cancel_response(response_id: ResponseId, resources: ResourcesDep, caller: CallerDep) -> ResponseObject:
    """Cancel a response, also while it is being made. One that has ended stays as it is."""
    store = resources.store
    job, stored = find(store, response_id)
    cancel.cancel([job.id], store=store, connection=resources.connection)
    return response_of(store.job(job.id), stored)


@router.delete(
    "/v1/responses/{response_id}",
    response_model=ResponseDeleted,
    response_description="Deleted",
    responses=_NOT_FOUND,
)
def delete_stored_response(response_id: ResponseId, resources: ResourcesDep, caller: CallerDep) -> ResponseDeleted:
    """Delete a response: it can no longer be retrieved or continued. If it is being made, it is cancelled."""
    store = resources.store
    job, _ = find(store, response_id)
    cancel.cancel([job.id], store=store, connection=resources.connection)
    delete_response(store.engine, job.id)
    return ResponseDeleted(id=response_id)


@router.get(
    "/v1/responses/{response_id}/input_items",
    response_model=ResponseItemList,
    response_description="A page of items",
    responses=_NOT_FOUND,
)
def list_input_items(
    response_id: ResponseId,
    resources: ResourcesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="desc: the last first")] = "desc",
    after: Annotated[str | None, Query(max_length=64, description="The last_id of the previous page")] = None,
) -> ResponseItemList:
    """List the items that a response was sent. Images are listed without their data."""
    items = input_items(*find(resources.store, response_id))
    if order == "desc":
        items.reverse()
    if after is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise InvalidRequestError("after is not the id of an item of this response.")
        items = items[ids.index(after) + 1 :]
    page = items[:limit]
    return ResponseItemList(
        data=page,
        first_id=page[0]["id"] if page else None,
        last_id=page[-1]["id"] if page else None,
        has_more=len(items) > limit,
    )
