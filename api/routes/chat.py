"""`POST /v1/chat/completions`: a job of the interactive lane, answered on the same connection."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.dialects.conversation import answer
from api.dialects.openai_chat import OpenAIChat
from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.chat.chat_request import ChatCompletionBody
from api.schemas.chat.chat_response import ChatCompletion

router = APIRouter(tags=["chat"], route_class=JSONRoute)


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {
            "description": "The answer; with `stream` as events, the last of which is `[DONE]`",
            "content": {"text/event-stream": {}},
            "headers": DESCRIBED,
        },
        404: {"model": ErrorBody, "description": "No such model"},
        409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another request"},
        429: {"model": ErrorBody, "description": "The queue is full; see Retry-After"},
        500: {"model": ErrorBody, "description": "Generation failed"},
        504: {"model": ErrorBody, "description": "No answer within the deadline; the job goes on and can be polled"},
    },
)
async def create_chat_completion(
    body: ChatCompletionBody,
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer a conversation that may contain images; with `stream`, token by token.

    If the client closes the connection, the job is cancelled, unless it has an Idempotency-Key.
    """
    check_ignored(body, request, resources.settings)
    options = body.stream_options
    with_usage = options is not None and bool(options.include_usage)
    return await answer(
        body,
        lambda job: OpenAIChat(job, with_usage=with_usage),
        stream=bool(body.stream),
        request=request,
        resources=resources,
        caller=caller,
        idempotency_key=idempotency_key,
    )
