"""How large a body may be: counted while it comes in, whatever was said of its length."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import send_error
from jobs.errors import BodyTooLargeError

#: Bytes of a body that is too large that are read before it is refused, and the seconds for it.
READ_ON = 32_000_000
READ_ON_SECONDS = 1.0
#: Paths whose bodies are files.
UPLOADS = ("/v1/files", "/v1/folders")


class BodyLimit:
    """Counts a body while it comes in: what is said of its length is only used to refuse early."""

    def __init__(self, app: ASGIApp, body: int, upload: int) -> None:
        self._app = app
        self._body = body
        self._upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        is_upload = headers.get("content-type", "").startswith("multipart/") and scope["path"] in UPLOADS
        limit = self._upload if is_upload else self._body
        error = BodyTooLargeError(
            f"The body is larger than the {limit / 1e6:.0f} MB that are allowed "
            f"(CAPTIONQ_MAX_{'UPLOAD' if is_upload else 'BODY'}_BYTES)."
        )
        if _length(headers) > limit:
            await _read_on(receive, headers)
            return await send_error(error, send)
        counted = _Counted(receive, send, limit, error)
        try:
            await self._app(scope, counted.receive, counted.send)
        except BodyTooLargeError:
            if not counted.refused:
                raise
        if counted.refused:
            await _read_on(receive, headers)
            await send_error(error, send)


class _Counted:
    """A body that is counted while it is read, and the answer, which is not the route's when there was too much of it."""

    def __init__(self, receive: Receive, send: Send, limit: int, error: BodyTooLargeError) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._error = error
        self._has_begun = False
        #: Whether the body was too large, before an answer had begun.
        self.refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refused = not self._has_begun
            raise self._error
        return message

    async def send(self, message: Message) -> None:
        # What the framework makes of the error is not what is said.
        if not self.refused:
            self._has_begun = True
            await self._send(message)


async def _read_on(receive: Receive, headers: Headers) -> None:
    """Read some more of a body, and drop it: a client that is still sending would only see a broken connection."""
    if "expect" in headers:
        # It has asked first, and sends nothing yet.
        return
    left = READ_ON
    # One that waits for the answer before it sends the rest gets it then.
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_ON_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))


def _length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0
