"""Limits on the size of a body and on the time it takes to arrive."""

from __future__ import annotations

import asyncio
import time
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors.response import send_error
from api.middleware.early_refusal import refuse_early
from jobs.configuration.settings import Settings
from jobs.errors import BodyTimeoutError, BodyTooLargeError, InvalidRequestError

#: Bytes per second that a body must arrive with, once its pauses add up to more than one pause may last.
MIN_RATE = 10_000
#: Bytes of a form around its one file.
FORM_OVERHEAD = 100_000


class BodyLimit:
    """Plain ASGI middleware that counts a body while it arrives. Content-Length is only used to refuse early."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        limit, name = self._limit(scope["path"], headers)
        error = BodyTooLargeError(f"The body is too large: the limit is {limit / 1e6:.0f} MB ({name}).")
        if _length(headers) > limit:
            return await refuse_early(error, scope, receive, send)
        counted = _CountedBody(receive, send, limit, error, self._settings.body_pause)
        try:
            await self._app(scope, counted.receive, counted.send)
        except (BodyTooLargeError, BodyTimeoutError):
            if counted.refusal is None:
                raise
        if counted.refusal is not None:
            if counted.refusal is error:
                return await refuse_early(error, scope, receive, send)
            await send_error(counted.refusal, scope, send)

    def _limit(self, path: str, headers: Headers) -> tuple[int, str]:
        """Return the limit in bytes, and the variable that sets it."""
        settings = self._settings
        if headers.get("content-type", "").startswith("multipart/"):
            if path == "/v1/folders":
                return settings.max_upload_bytes, "CAPTIONQ_MAX_UPLOAD_BYTES"
            if path == "/v1/files":
                # The purpose of the file is not known before the form is read: the route checks its own limit.
                if settings.max_batch_bytes > settings.max_image_bytes:
                    return settings.max_batch_bytes + FORM_OVERHEAD, "CAPTIONQ_MAX_BATCH_BYTES"
                return settings.max_image_bytes + FORM_OVERHEAD, "CAPTIONQ_MAX_IMAGE_BYTES"
        if path.startswith("/start/uploads/"):
            # A zip may be as large as a whole upload; the route holds pictures to their own limit.
            return settings.max_upload_bytes, "CAPTIONQ_MAX_UPLOAD_BYTES"
        return settings.max_body_bytes, "CAPTIONQ_MAX_BODY_BYTES"


class _CountedBody:
    """The two channels of a request: counts the body, and holds back the route's answer if the body was refused."""

    def __init__(self, receive: Receive, send: Send, limit: int, too_large: BodyTooLargeError, pause: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._left = limit
        self._too_large = too_large
        self._pause = pause
        #: Seconds spent waiting for the client.
        self._waited = 0.0
        self._is_whole = False
        self._has_begun = False
        #: The error to send, if no answer had begun when the body was refused.
        self.refusal: InvalidRequestError | None = None

    async def receive(self) -> Message:
        # After the end of the body, routes wait here for the client to disconnect: no limit applies.
        message = await (self._receive() if self._is_whole or self._has_begun else self._next_piece())
        self._is_whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._refuse(self._too_large)
        return message

    async def send(self, message: Message) -> None:
        # Drop the framework's answer to a refused body: the middleware sends its own.
        if self.refusal is None:
            self._has_begun = True
            await self._send(message)

    async def _next_piece(self) -> Message:
        # Without a minimum rate, a byte a minute would block the other uploads as long as a pause without end.
        earned = (self._limit - self._left) / MIN_RATE
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(self._pause, self._pause + earned - self._waited)):
                message = await self._receive()
        except TimeoutError:
            self._refuse(
                BodyTimeoutError(
                    f"The body arrived too slowly: it may pause for {self._pause:.0f} s (CAPTIONQ_BODY_PAUSE), and must arrive "
                    f"with at least {MIN_RATE / 1000:.0f} kB/s."
                )
            )
        self._waited += time.monotonic() - began
        return message

    def _refuse(self, error: InvalidRequestError) -> NoReturn:
        if not self._has_begun:
            self.refusal = error
        raise error


def _length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0
