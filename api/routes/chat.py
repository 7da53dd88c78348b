"""`POST /v1/chat/completions`: a job of the interactive lane, answered on the same connection."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api.errors.body import ErrorBody
from api.intake.idempotency_key import IdempotencyKey
from api.intake.ignored_parameters import DESCRIBED, check_ignored
from api.intake.jobs import make_job
from api.intake.json_body import JSONRoute
from api.middleware.api_keys import Caller, CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.chat_request import ChatCompletionBody
from api.schemas.chat_response import ChatCompletion
from api.streaming.chat_answer import ChatAnswer
from jobs.creation.create import Created, Creation, create
from jobs.creation.idempotency import find_repeated
from jobs.store.tables import OPEN, Job, Lane

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
    created = await run_in_threadpool(_queue, body, resources, caller, idempotency_key)
    job = created.made
    assert isinstance(job, Job)
    request.scope["captionq.job"] = job.id
    outlives_client = created.repeated or idempotency_key is not None
    answer = ChatAnswer(job, request, resources, outlives_client=outlives_client)
    try:
        if not body.stream:
            return await answer.whole()
        options = body.stream_options
        return await answer.stream(with_usage=options is not None and bool(options.include_usage))
    except Exception:
        # The job could not be followed, so the client will ask again: its first job must not run too.
        await answer.abandon()
        raise


def _queue(body: ChatCompletionBody, resources: Resources, caller: Caller, idempotency_key: str | None) -> Created:
    if idempotency_key is None:
        # Before the images are stored.
        resources.check_worker()
    job = make_job(body, resources, lane=Lane.INTERACTIVE, route="chat", caller=caller, idempotency_key=idempotency_key)
    if idempotency_key is not None:
        earlier = find_repeated(resources.store, job)
        if not isinstance(earlier, Job) or earlier.status in OPEN:
            resources.check_worker()
    return create(Creation([job]), store=resources.store, connection=resources.connection, settings=resources.settings)
