"""`/api/chat` and `/api/generate`: conversations in Ollama's words."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.dialects.conversation import answer, chat_body
from api.dialects.ollama.answers import NDJSON, OllamaAnswer, OllamaChat, OllamaGenerate
from api.dialects.ollama.translation import (
    SCHEMA_PLACE,
    asks_to_unload,
    chat_values,
    generate_values,
    loading_values,
    model_name,
)
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import Caller, CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.dialects.ollama import OllamaBody, OllamaChatBody, OllamaGenerateBody
from api.schemas.dialects.ollama_answers import OllamaChatAnswer, OllamaError, OllamaGenerateAnswer
from jobs.models.model_info import public_name

#: Errors in Ollama's form.
OLLAMA_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": OllamaError, "description": "The request is not valid"},
    401: {"model": OllamaError, "description": "The API key is missing or invalid"},
    403: {"model": OllamaError, "description": "Forbidden: the host, an address or a path"},
    404: {"model": OllamaError, "description": "No such model"},
    408: {"model": OllamaError, "description": "The body arrived too slowly"},
    413: {"model": OllamaError, "description": "The body is too large"},
    503: {"model": OllamaError, "description": "The broker, the database or a worker is not available"},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; unless `stream` is false, a line of JSON for each piece",
        "content": {NDJSON: {}},
        "headers": DESCRIBED,
    },
    429: {"model": OllamaError, "description": "The queue is full; see Retry-After"},
    500: {"model": OllamaError, "description": "Generation failed"},
    504: {"model": OllamaError, "description": "No answer within the deadline; the job goes on and can be polled"},
}

router = APIRouter(tags=["ollama"], route_class=JSONRoute, responses=OLLAMA_ERRORS)


@router.post("/api/chat", response_model=OllamaChatAnswer, responses=_ANSWERS)
async def ollama_chat(body: OllamaChatBody, request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Answer a conversation that may contain images. Without messages, load the model."""
    values = chat_values(body) if body.messages else None
    return await _answered(body, values, OllamaChat, request, resources, caller)


@router.post("/api/generate", response_model=OllamaGenerateAnswer, responses=_ANSWERS)
async def ollama_generate(
    body: OllamaGenerateBody, request: Request, resources: ResourcesDep, caller: CallerDep
) -> Response:
    """Answer a prompt that may have images. Without a prompt, load the model."""
    values = generate_values(body) if body.prompt or body.images else None
    return await _answered(body, values, OllamaGenerate, request, resources, caller)


async def _answered(
    body: OllamaBody,
    values: dict[str, Any] | None,
    form: type[OllamaAnswer],
    request: Request,
    resources: Resources,
    caller: Caller,
) -> Response:
    """Answer a translated body; `values` None: only load the model, or confirm a request to unload it."""
    check_ignored(body, request, resources.settings)
    stream = body.stream is not False
    if values is None and asks_to_unload(body):
        info = await run_in_threadpool(resources.catalogue.resolve, model_name(body))
        media_type = NDJSON if stream else "application/json"
        return Response(form.unloaded(body.model or public_name(info.name)), media_type=media_type)
    return await answer(
        chat_body(loading_values(body) if values is None else values, schema_place=SCHEMA_PLACE),
        lambda job: form(job, name=body.model, only_loads=values is None),
        stream=stream,
        request=request,
        resources=resources,
        caller=caller,
    )
