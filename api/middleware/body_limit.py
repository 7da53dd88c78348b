"""How large a body may be, and how long it may be waited for: counted while it comes in, whatever was said of its length."""

from __future__ import annotations

import asyncio
import time
from typing import NoReturn

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors.response import send_error
from api.middleware.early_refusal import refuse
from jobs.errors import BodyTimeoutError, BodyTooLargeError, InvalidRequestError
from jobs.settings import Settings

#: Bytes a second that a body has to come with, once its pauses together are longer than one may be.
LEAST_RATE = 10_000
#: Bytes of a form around the one file in it.
FORM_ROOM = 100_000


class BodyLimit:
    """Counts a body while it comes in: what is said of its length is only used to refuse early."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        limit, name = self._limit(scope["path"], headers)
        error = BodyTooLargeError(f"The body is larger than the {limit / 1e6:.0f} MB that are allowed ({name}).")
        if _length(headers) > limit:
            return await refuse(error, headers, receive, send)
        counted = _Counted(receive, send, limit, error, self._settings.body_pause)
        try:
            await self._app(scope, counted.receive, counted.send)
        except (BodyTooLargeError, BodyTimeoutError):
            if counted.refusal is None:
                raise
        if counted.refusal is not None:
            if counted.refusal is error:
                return await refuse(error, headers, receive, send)
            await send_error(counted.refusal, send)

    def _limit(self, path: str, headers: Headers) -> tuple[int, str]:
        """Bytes, and the variable that says so."""
        settings = self._settings
        if headers.get("content-type", "").startswith("multipart/"):
            if path == "/v1/folders":
                return settings.max_upload_bytes, "CAPTIONQ_MAX_UPLOAD_BYTES"
            if path == "/v1/files":
                return settings.max_image_bytes + FORM_ROOM, "CAPTIONQ_MAX_IMAGE_BYTES"
        return settings.max_body_bytes, "CAPTIONQ_MAX_BODY_BYTES"


class _Counted:
    """A body that is counted while it is read, and the answer, which is not the route's when the body was refused."""

    def __init__(self, receive: Receive, send: Send, limit: int, too_large: BodyTooLargeError, pause: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._left = limit
        self._too_large = too_large
        self._pause = pause
        #: Seconds that were spent on waiting for the client.
        self._waited = 0.0
        self._is_whole = False
        self._has_begun = False
        #: What was wrong with the body, where no answer had begun.
        self.refusal: InvalidRequestError | None = None

    async def receive(self) -> Message:
        # Behind the end of the body routes wait here for the client to leave, for as long as it stays.
        message = await (self._receive() if self._is_whole or self._has_begun else self._next_piece())
        self._is_whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._refuse(self._too_large)
        return message

    async def send(self, message: Message) -> None:
        # What the framework makes of the error is not what is said.
        if self.refusal is None:
            self._has_begun = True
            await self._send(message)

    async def _next_piece(self) -> Message:
        # A byte a minute would hold up the other uploads for as long as none.
        earned = (self._limit - self._left) / LEAST_RATE
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(self._pause, self._pause + earned - self._waited)):
                message = await self._receive()
        except TimeoutError:
            self._refuse(
                BodyTimeoutError(
                    f"The body came too slowly: it may pause for {self._pause:.0f} s (CAPTIONQ_BODY_PAUSE), and has to come with "
                    f"{LEAST_RATE / 1000:.0f} kB/s."
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
