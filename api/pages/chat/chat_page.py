"""`/chat`: a conversation with a model. The browser holds it: the server keeps only the rows of the jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.dialects.conversation import queue
from api.errors.translation import not_found
from api.intake.ignored_parameters import check_ignored
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import CallerDep
from api.pages.chat.request_code import CodeRequest, curl_code, python_code
from api.pages.page_route import PageRoute
from api.pages.templates import PAGE_HEADERS, page
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.chat.chat_request import ChatCompletionBody
from api.streaming.job_events import END, EVENT_ID, event_stream
from jobs.creation import cancel
from jobs.models.thinking_switches import can_think
from jobs.request_defaults import DEFAULT_CHAT_TOKENS, MAX_TOKENS
from jobs.store.tables import Job

router = APIRouter(include_in_schema=False, route_class=JSONRoute)
_pages = APIRouter(include_in_schema=False, route_class=PageRoute)

JobId = Annotated[str, Path(max_length=64, pattern=r"^[\w-]+$")]


@_pages.get("/chat")
def show_chat(resources: ResourcesDep, caller: CallerDep) -> Response:
    """Show an empty conversation. The browser fills in the one that it has kept."""
    models = resources.catalogue.models()
    return page(
        "chat.html",
        models=[(name, info.modality == "vision", can_think(info)) for name, info in models.items()],
        max_body_bytes=resources.settings.max_body_bytes,
        default_tokens=DEFAULT_CHAT_TOKENS,
        max_tokens=MAX_TOKENS,
    )


@router.post("/chat/questions")
def ask(body: ChatCompletionBody, request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Queue the last question of a conversation, as `POST /v1/chat/completions` does, and return the id of its answer.

    The job goes on if the connection is lost, so that the browser can follow the answer again.
    """
    check_ignored(body, request, resources.settings)
    job = queue(body, resources, caller).made
    return JSONResponse({"id": job.id}, 201, PAGE_HEADERS)


@router.get("/chat/answers/{job_id}")
async def follow_answer(
    job_id: JobId,
    resources: ResourcesDep,
    caller: CallerDep,
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID)] = None,
) -> Response:
    """Follow an answer by server-sent events. With Last-Event-ID, only the events after that one are sent."""
    job = await run_in_threadpool(_find, job_id, resources)
    if last_event_id == END:
        return Response(status_code=204)
    return event_stream(job, resources, last_event_id or "0")


@router.post("/chat/answers/{job_id}/stop")
def stop(job_id: JobId, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Cancel an answer, also while it is being written. An answer that is whole stays as it is."""
    cancel.cancel([_find(job_id, resources).id], store=resources.store, connection=resources.connection)
    return Response(status_code=204)


@router.post("/chat/code")
def show_code(body: CodeRequest, request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Write the request of a conversation as curl and as Python. The key is never in it."""
    # Behind a proxy only the browser knows under which address it reached the server.
    address = request.headers.get("origin") or str(request.base_url).rstrip("/")
    needs_key = bool(resources.settings.api_keys)
    code = {"curl": curl_code(body, address, needs_key=needs_key)}
    code["python"] = python_code(body, address, needs_key=needs_key)
    return JSONResponse(code, headers=PAGE_HEADERS)


def _find(job_id: str, resources: Resources) -> Job:
    """Return the job of an answer. Jobs of runs have pages of their own, with their own rules. Raises NotFoundError."""
    job = resources.store.find(job_id)
    if job is None or job.batch_id is not None or job.source is not None:
        raise not_found("answer", job_id)
    return job


router.include_router(_pages)
