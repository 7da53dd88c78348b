"""`POST /v1/chat/completions`: a job of the interactive lane, and its answer on the same connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from api.auth import Caller, CallerDep
from api.completions import ChatCompletion, Chunks, DivergedError, completion_of
from api.dependencies import IdempotencyKey, ResourcesDep
from api.dialect import ChatCompletionBody
from api.errors import ErrorBody, detail_of, error_response, stored_error
from api.following import HEARTBEAT, News, ended, follow
from api.intake import make_job
from api.json_bodies import JSONRoute
from api.resources import Resources
from api.sse import HEARTBEAT_COMMENT, EventStream, event_bytes
from jobs import cancellation
from jobs.creation import Created, Creation, create
from jobs.errors import CaptionqError, ConflictError, DeadlineError
from jobs.stream import Event
from jobs.tables import Job, JobStatus, Lane

logger = logging.getLogger("captionq.api")
router = APIRouter(tags=["chat"], route_class=JSONRoute)

#: Seconds in which a stream may still turn into an error with a status of its own, before its headers are sent.
HEADERS_AFTER = 5.0
#: The work is queued: a client that sends the request again would queue it twice.
_QUEUED = {"x-should-retry": "false"}
#: Seconds between two looks at the clock while a stream says nothing.
LOOK_EVERY = 1.0

T = TypeVar("T")


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={
        200: {
            "description": "The answer; with `stream` as events, the last of them `[DONE]`",
            "content": {"text/event-stream": {}},
        },
        404: {"model": ErrorBody, "description": "No such model"},
        409: {"model": ErrorBody, "description": "The Idempotency-Key was used for another request"},
        429: {"model": ErrorBody, "description": "Too many requests wait"},
        500: {"model": ErrorBody, "description": "Generation failed"},
        504: {"model": ErrorBody, "description": "It takes too long; the job goes on and can be polled"},
    },
)
async def create_chat_completion(
    body: ChatCompletionBody,
    request: Request,
    resources: ResourcesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer a conversation, images and all; with `stream` token by token."""
    created = await run_in_threadpool(_queue, body, resources, caller, idempotency_key)
    job = created.made
    assert isinstance(job, Job)
    request.scope["captionq.job"] = job.id
    answer = _Answer(job, request, resources, stays=created.repeated or idempotency_key is not None)
    try:
        return await (answer.stream(body) if body.stream else answer.whole())
    except Exception:
        # It could not be followed, so the client will ask again: what it has queued is not to run besides.
        await answer.abandon()
        raise


def _queue(body: ChatCompletionBody, resources: Resources, caller: Caller, idempotency_key: str | None) -> Created:
    resources.check_worker()
    job = make_job(body, resources, lane=Lane.INTERACTIVE, route="chat", caller=caller, idempotency_key=idempotency_key)
    return create(Creation([job]), store=resources.store, connection=resources.connection, settings=resources.settings)


class _Answer:
    """One job on its way to one client."""

    def __init__(self, job: Job, request: Request, resources: Resources, *, stays: bool) -> None:
        """`stays`: the job goes on when the client goes, who has said that it may come back for it."""
        self._job = job
        self._request = request
        self._resources = resources
        self._stays = stays
        self._begun = time.perf_counter()
        self._headers = {**_QUEUED, "x-captionq-job": job.id}
        #: Whether there is nothing left to abandon.
        self._is_over = False
        self._has_diverged = False

    async def whole(self) -> Response:
        with self._resources.hub.follow(self._job.id) as subscription:
            try:
                async with asyncio.timeout(self._resources.settings.sync_deadline):
                    job = await self._unless_gone(ended(self._resources, subscription))
            except TimeoutError:
                return self._failure(self._late())
        return await self._gone() if job is None else self._final(job)

    async def stream(self, body: ChatCompletionBody) -> Response:
        """Events as soon as there is text. What fails before that is an answer with a status of its own."""
        with ExitStack() as stack:
            subscription = stack.enter_context(self._resources.hub.follow(self._job.id))
            news = follow(self._resources, subscription, heartbeat=LOOK_EVERY)
            seen = await self._unless_gone(_until_substance(news))
            if seen is None:
                return await self._gone()
            if seen and isinstance(seen[-1], Job) and seen[-1].status != JobStatus.SUCCEEDED:
                return self._final(seen[-1])
            subscribed = stack.pop_all()

        async def at_end() -> None:
            subscribed.close()
            await self.abandon()

        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        chunks = Chunks(self._job, with_usage=usage)
        return EventStream(self._events(chunks, seen, news), at_end=at_end, headers=self._headers)

    # -- the answer ---------------------------------------------------------------------------------

    def _final(self, job: Job) -> Response:
        self._is_over = True
        if job.status == JobStatus.SUCCEEDED:
            return JSONResponse(completion_of(job).model_dump(), headers=self._headers)
        return self._failure(_why(job))

    def _failure(self, error: CaptionqError) -> Response:
        return error_response(error, headers=self._headers)

    def _late(self) -> DeadlineError:
        # The job goes on: it is not to be cancelled as if the client had gone.
        self._is_over = True
        seconds = self._resources.settings.sync_deadline
        return DeadlineError(
            f"There is no answer after {seconds:.0f} s. The job goes on: GET /v1/jobs/{self._job.id} will have it."
        )

    async def _events(self, chunks: Chunks, seen: list[News], news: AsyncIterator[News]) -> AsyncIterator[bytes]:
        yield event_bytes(chunks.first())
        quiet_since = time.monotonic()
        async for one in _chained(seen, news):
            pieces = self._pieces(chunks, one)
            if not pieces and time.monotonic() - quiet_since > HEARTBEAT:
                pieces = [HEARTBEAT_COMMENT]
            for piece in pieces:
                yield piece
                quiet_since = time.monotonic()
            if self._has_diverged:
                return

    def _pieces(self, chunks: Chunks, news: News) -> list[bytes]:
        try:
            match news:
                case Job() if news.status == JobStatus.SUCCEEDED:
                    self._is_over = True
                    return [*map(event_bytes, chunks.rest(news)), event_bytes("[DONE]")]
                case Job():
                    self._is_over = True
                    return [_error_event(_why(news))]
                case Event(name="tokens"):
                    if not chunks.said_something:
                        self._resources.metrics.first_token(time.perf_counter() - self._begun)
                    chunk = chunks.tokens(**news.data)
                    return [] if chunk is None else [event_bytes(chunk)]
        except DivergedError as error:
            self._has_diverged = True
            return [_error_event(error)]
        return []

    # -- a client that goes -------------------------------------------------------------------------

    async def _unless_gone(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What comes of the work; None: the client has gone before."""
        working = asyncio.create_task(work)
        leaving = asyncio.create_task(self._client_leaves())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.wait({working, leaving})

    async def _client_leaves(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    async def _gone(self) -> Response:
        await self.abandon()
        # nginx's word for it; nobody reads it.
        return Response(status_code=499)

    async def abandon(self) -> None:
        """Nobody waits any more: an answer that is not finished is not worth its place in the batch."""
        if self._is_over or self._stays or self._resources.draining.is_set():
            return
        self._is_over = True
        store, connection = self._resources.store, self._resources.connection
        await run_in_threadpool(cancellation.cancel, [self._job.id], store=store, connection=connection)
        logger.info("The client of %s has gone; it is cancelled.", self._job.id)


async def _until_substance(news: AsyncIterator[News]) -> list[News]:
    """What comes first, up to the first text or the end, or whatever came in the time that headers may wait."""
    seen: list[News] = []
    deadline = time.monotonic() + HEADERS_AFTER
    async for one in news:
        seen.append(one)
        if isinstance(one, Job) or (isinstance(one, Event) and one.name == "tokens") or time.monotonic() > deadline:
            break
    return seen


async def _chained(seen: list[News], news: AsyncIterator[News]) -> AsyncIterator[News]:
    for one in seen:
        yield one
    if not (seen and isinstance(seen[-1], Job)):
        async for one in news:
            yield one


def _why(job: Job) -> CaptionqError:
    if job.status == JobStatus.CANCELLED:
        return ConflictError("The job was cancelled.")
    return stored_error(job.error_code, job.error_message)


def _error_event(error: CaptionqError) -> bytes:
    return event_bytes({"error": detail_of(error).model_dump()})
