"""`/v1/messages`: conversations in Anthropic's words."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.dialects.anthropic.answers import AnthropicCount, AnthropicMessages
from api.dialects.anthropic.translation import SCHEMA_PLACE, counted_values, message_values
from api.dialects.conversation import answer, chat_body
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.schemas.dialects.anthropic import AnthropicBody, AnthropicPrompt
from api.schemas.dialects.anthropic_answers import AnthropicAnswer, AnthropicError, AnthropicTokenCount

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": AnthropicError, "description": "The request is not valid"},
    401: {"model": AnthropicError, "description": "The API key is missing or invalid"},
    403: {"model": AnthropicError, "description": "Forbidden: the host, an address or a path"},
    404: {"model": AnthropicError, "description": "No such model or file"},
    408: {"model": AnthropicError, "description": "The body arrived too slowly"},
    413: {"model": AnthropicError, "description": "The body is too large"},
    429: {"model": AnthropicError, "description": "The queue is full; see Retry-After"},
    500: {"model": AnthropicError, "description": "Generation failed"},
    503: {"model": AnthropicError, "description": "The broker, the database or a worker is not available"},
    504: {"model": AnthropicError, "description": "No answer within the deadline; the job goes on and can be polled"},
}

router = APIRouter(tags=["messages"], route_class=JSONRoute, responses=_ERRORS)


@router.post(
    "/v1/messages",
    response_model=AnthropicAnswer,
    responses={
        200: {
            "description": "The answer; with `stream` as events, the last of which is `message_stop`",
            "content": {"text/event-stream": {}},
            "headers": DESCRIBED,
        }
    },
)
async def create_message(body: AnthropicBody, request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Answer a conversation that may contain images; with `stream`, token by token."""
    check_ignored(body, request, resources.settings)
    thinks = body.thinking is not None and body.thinking.type != "disabled"
    return await answer(
        chat_body(message_values(body), schema_place=SCHEMA_PLACE),
        lambda job: AnthropicMessages(job, with_thoughts=thinks),
        stream=bool(body.stream),
        request=request,
        resources=resources,
        caller=caller,
    )


@router.post("/v1/messages/count_tokens", response_model=AnthropicTokenCount, responses={200: {"headers": DESCRIBED}})
async def count_message_tokens(
    body: AnthropicPrompt, request: Request, resources: ResourcesDep, caller: CallerDep
) -> Response:
    """Count the tokens of a prompt, images included. The worker counts them, as it would for an answer of one token."""
    check_ignored(body, request, resources.settings)
    return await answer(
        chat_body(counted_values(body), schema_place=SCHEMA_PLACE),
        AnthropicCount,
        stream=False,
        request=request,
        resources=resources,
        caller=caller,
    )
