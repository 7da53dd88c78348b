"""One answer on its way to one client: whole, or token by token."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.errors.response import error_response
from api.errors.translation import stored_error
from api.runtime.resources import Resources
from api.schemas.chat_response import Chunks, completion_of
from api.streaming.job_follower import HEARTBEAT, JobEvent, Silence, ended, follow
from api.streaming.sse import HEARTBEAT_COMMENT, EventStream, event_bytes
from jobs.creation import cancel
from jobs.errors import CaptionqError, ConflictError, DeadlineError, LeavingError, WorkerError
from jobs.queue.events import Event
from jobs.store.tables import Job, JobStatus

logger = logging.getLogger("captionq.api")

#: Seconds in which a stream may still turn into an error with a status of its own, before its headers are sent.
HEADERS_AFTER = 5.0
#: The work is queued: a client that sends the request again would queue it twice.
_QUEUED = {"x-should-retry": "false"}
#: Seconds between two looks at the clock while a stream says nothing.
LOOK_EVERY = 1.0
#: Seconds without any worker after which a stream ends: one that died is back before.
WORKER_PATIENCE = 60.0

T = TypeVar("T")


class Answer:
    """One job on its way to one client."""

    def __init__(self, job: Job, request: Request, resources: Resources, *, stays: bool) -> None:
        """`stays`: the job goes on when the client goes, who has said that it may come back for it."""
        self._job = job
        self._request = request
        self._resources = resources
        self._stays = stays
        self._headers = {**_QUEUED, "x-captionq-job": job.id}
        #: Whether there is nothing left to abandon.
        self._is_over = False

    async def whole(self) -> Response:
        with self._resources.hub.follow(self._job.id) as subscription:
            try:
                async with asyncio.timeout(self._resources.settings.sync_deadline):
                    job = await self._unless_gone(ended(self._resources, subscription))
            except TimeoutError:
                return self._failure(self._late())
            except LeavingError as error:
                return self._failure(self._left(error))
        return await self._gone() if job is None else self._final(job)

    async def stream(self, *, with_usage: bool) -> Response:
        """Events as soon as there is text. What fails before that is an answer with a status of its own."""
        with ExitStack() as stack:
            subscription = stack.enter_context(self._resources.hub.follow(self._job.id))
            news = follow(self._resources, subscription, heartbeat=LOOK_EVERY)
            try:
                seen = await self._unless_gone(_until_substance(news))
            except LeavingError as error:
                return self._failure(self._left(error))
            if seen is None:
                return await self._gone()
            if seen and isinstance(seen[-1], Job) and seen[-1].status != JobStatus.SUCCEEDED:
                return self._final(seen[-1])
            subscribed = stack.pop_all()

        async def at_end() -> None:
            subscribed.close()
            await self.abandon()

        chunks = Chunks(self._job, with_usage=with_usage)
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

    def _left(self, error: LeavingError) -> LeavingError:
        # The same: it goes on when the server is back.
        self._is_over = True
        return error

    async def _events(
        self, chunks: Chunks, seen: list[JobEvent], news: AsyncIterator[JobEvent]
    ) -> AsyncIterator[bytes]:
        yield event_bytes(chunks.first())
        quiet_since = time.monotonic()
        try:
            async for one in _chained(seen, news):
                pieces = self._pieces(chunks, one)
                if not pieces and time.monotonic() - quiet_since > HEARTBEAT:
                    pieces = [HEARTBEAT_COMMENT]
                for piece in pieces:
                    yield piece
                    quiet_since = time.monotonic()
        except LeavingError as error:
            raise self._left(error) from None

    def _pieces(self, chunks: Chunks, news: JobEvent) -> list[bytes]:
        """Raises whatever ends the stream before its answer is whole."""
        match news:
            case Job() if news.status == JobStatus.SUCCEEDED:
                self._is_over = True
                return [*map(event_bytes, chunks.rest(news)), event_bytes("[DONE]")]
            case Job():
                self._is_over = True
                raise _why(news)
            case Event(name="tokens"):
                if not chunks.said_something:
                    self._resources.metrics.first_token(time.perf_counter() - self._request.scope["captionq.begun"])
                chunk = chunks.tokens(**news.data)
                return [] if chunk is None else [event_bytes(chunk)]
            case Silence() if self._resources.hub.alone_for > WORKER_PATIENCE:
                raise WorkerError("No worker has run for a while, so nobody will answer. Start one: captionq work")
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
        if self._is_over or self._stays:
            return
        self._is_over = True
        store, connection = self._resources.store, self._resources.connection
        try:
            await run_in_threadpool(cancel.cancel, [self._job.id], store=store, connection=connection)
        except (RedisError, SQLAlchemyError):
            logger.exception("Nobody waits for %s any more, and it could not be cancelled.", self._job.id)
        else:
            logger.info("Nobody waits for %s any more; it is cancelled.", self._job.id)


async def _until_substance(news: AsyncIterator[JobEvent]) -> list[JobEvent]:
    """What comes first, up to the first text or the end, or whatever came in the time that headers may wait."""
    seen: list[JobEvent] = []
    deadline = time.monotonic() + HEADERS_AFTER
    async for one in news:
        seen.append(one)
        if isinstance(one, Job) or (isinstance(one, Event) and one.name == "tokens") or time.monotonic() > deadline:
            break
    return seen


async def _chained(seen: list[JobEvent], news: AsyncIterator[JobEvent]) -> AsyncIterator[JobEvent]:
    for one in seen:
        yield one
    if not (seen and isinstance(seen[-1], Job)):
        async for one in news:
            yield one


def _why(job: Job) -> CaptionqError:
    if job.status == JobStatus.CANCELLED:
        return ConflictError("The job was cancelled.")
    return stored_error(job.error_code, job.error_message)
