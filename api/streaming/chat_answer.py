"""The answer of one chat completion on its way to its client: whole, or token by token."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from fastapi import Request
from fastapi.responses import Response
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.errors.response import client_left_response, error_response
from api.errors.translation import stored_error
from api.runtime.resources import Resources
from api.schemas.chat.chat_response import has_answer
from api.streaming.answer_form import AnswerForm
from api.streaming.client_departure import unless_client_leaves
from api.streaming.growing_answer import TEXT_EVENTS, GrowingAnswer, Piece
from api.streaming.job_follower import IdleTick, JobUpdate, follow_job, wait_for_end
from api.streaming.sse import HEARTBEAT, MessageStream
from api.streaming.sync_deadline import within_deadline
from jobs.creation import cancel
from jobs.errors import CaptionqError, ConflictError, DeadlineError, LeavingError, WorkerError
from jobs.queue.events import Event
from jobs.store.databases.passing_faults import log_failure
from jobs.store.tables import Job, JobStatus

logger = logging.getLogger("captionq.api")

#: Seconds in which a stream may still become an error with a status of its own, before its headers are sent.
HEADERS_AFTER = 5.0
#: Header for work that is queued: a client that repeats the request would queue it twice.
_DO_NOT_REPEAT = {"x-should-retry": "false"}
#: Seconds between two checks of the clock while a stream sends nothing.
IDLE_CHECK_EVERY = 1.0
#: Seconds without any worker after which a stream ends: a worker that died is back sooner.
WORKER_PATIENCE = 60.0


class ChatAnswer:
    """The answer of one job to one client."""

    def __init__(
        self,
        job: Job,
        request: Request,
        resources: Resources,
        form: AnswerForm,
        *,
        outlives_client: bool,
        is_new: bool = False,
    ) -> None:
        """Prepare the answer.

        Args:
            outlives_client: the job goes on if the client leaves, because the client may come back.
            is_new: the job was queued just now.
        """
        self._job = job
        self._request = request
        self._resources = resources
        self._form = form
        self._answer = GrowingAnswer()
        self._outlives_client = outlives_client
        self._is_new = is_new
        self._headers = {**_DO_NOT_REPEAT, "x-captionq-job": job.id}
        #: Whether the job must not be cancelled any more.
        self._is_settled = False
        #: Whether the client was sent a part of the answer.
        self._has_begun = False

    async def whole(self) -> Response:
        """Wait for the job, up to the deadline, and return its answer or its error."""
        store, deadline = self._resources.store, self._resources.settings.sync_deadline
        with self._resources.hub.follow(self._job.id, is_new=self._is_new) as subscription:
            ending = unless_client_leaves(self._request, wait_for_end(store, subscription))
            try:
                job = await within_deadline(ending, deadline, self._job.id)
            except (DeadlineError, LeavingError) as error:
                return self._failure(self._settled(error))
        return await self._client_left() if job is None else self._final(job)

    async def stream(self) -> Response:
        """Return a stream as soon as there is text. A failure before that is a response with a status of its own."""
        with ExitStack() as stack:
            subscription = stack.enter_context(self._resources.hub.follow(self._job.id, is_new=self._is_new))
            updates = follow_job(self._resources.store, subscription, heartbeat=IDLE_CHECK_EVERY)
            try:
                seen = await unless_client_leaves(self._request, _until_text(updates))
            except LeavingError as error:
                return self._failure(self._settled(error))
            if seen is None:
                return await self._client_left()
            if seen and isinstance(seen[-1], Job) and not has_answer(seen[-1]):
                return self._final(seen[-1])
            subscribed = stack.pop_all()

        async def at_end() -> None:
            subscribed.close()
            await self.abandon()

        return MessageStream(
            self._messages(_chained(seen, updates)),
            media_type=self._form.media_type,
            failure=self._form.failure,
            at_end=at_end,
            headers=self._headers,
        )

    async def abandon(self) -> None:
        """Cancel the job of a client that has left, unless the job outlives its client."""
        if self._is_settled or self._outlives_client:
            return
        self._is_settled = True
        store, connection = self._resources.store, self._resources.connection
        try:
            await run_in_threadpool(cancel.cancel, [self._job.id], store=store, connection=connection)
        except (RedisError, SQLAlchemyError):
            log_failure(logger, "The client of %s has left, and the job could not be cancelled.", self._job.id)
        else:
            logger.info("The client of %s has left; the job is cancelled.", self._job.id)

    def _final(self, job: Job) -> Response:
        self._is_settled = True
        if has_answer(job):
            return Response(self._form.body(job), media_type="application/json", headers=self._headers)
        return self._failure(_error_of(job))

    def _failure(self, error: CaptionqError) -> Response:
        return error_response(error, self._request.url.path, headers=self._headers)

    def _settled(self, error: CaptionqError) -> CaptionqError:
        # The job goes on: it must not be cancelled as if the client had left.
        self._is_settled = True
        return error

    async def _client_left(self) -> Response:
        await self.abandon()
        return client_left_response()

    async def _messages(self, updates: AsyncIterator[JobUpdate]) -> AsyncIterator[bytes]:
        for message in self._form.begin():
            yield message
        quiet_since = time.monotonic()
        try:
            async for update in updates:
                messages = self._messages_for(update)
                if not messages and self._form.heartbeat and time.monotonic() - quiet_since > HEARTBEAT:
                    messages = [self._form.heartbeat]
                for message in messages:
                    yield message
                    quiet_since = time.monotonic()
        except LeavingError as error:
            raise self._settled(error) from None

    def _messages_for(self, update: JobUpdate) -> list[bytes]:
        """Return the messages for one update. Raises the error that ends the stream before its answer is whole."""
        match update:
            case Job() if has_answer(update):
                self._is_settled = True
                return [*self._in_form(self._answer.complete(update)), *self._form.end(update)]
            case Job():
                self._is_settled = True
                raise _error_of(update)
            case Event() if update.name in TEXT_EVENTS:
                return self._in_form(self._answer.add(update))
            case IdleTick() if self._resources.hub.seconds_without_worker > WORKER_PATIENCE:
                raise WorkerError("No worker has been running for a while. Start one with: captionq work")
        return []

    def _in_form(self, pieces: list[Piece]) -> list[bytes]:
        if pieces and not self._has_begun:
            self._has_begun = True
            self._resources.metrics.first_token(time.perf_counter() - self._request.scope["captionq.begun"])
        return [message for piece in pieces for message in self._form.piece(piece)]


async def _until_text(updates: AsyncIterator[JobUpdate]) -> list[JobUpdate]:
    """Collect updates until the first text, the end of the job, or the time when headers have to be sent."""
    seen: list[JobUpdate] = []
    deadline = time.monotonic() + HEADERS_AFTER
    async for update in updates:
        seen.append(update)
        has_text = isinstance(update, Event) and update.name in TEXT_EVENTS
        if has_text or isinstance(update, Job) or time.monotonic() > deadline:
            break
    return seen


async def _chained(seen: list[JobUpdate], updates: AsyncIterator[JobUpdate]) -> AsyncIterator[JobUpdate]:
    for update in seen:
        yield update
    if not (seen and isinstance(seen[-1], Job)):
        async for update in updates:
            yield update


def _error_of(job: Job) -> CaptionqError:
    if job.status == JobStatus.CANCELLED:
        return ConflictError("The job was cancelled.")
    return stored_error(job.error_code, job.error_message)
