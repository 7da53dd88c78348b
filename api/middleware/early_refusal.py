"""The early refusal of a request: before its body has been read."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from api.errors.response import send_error
from jobs.errors import CaptionqError

#: Most bytes of the body that are read and dropped before the refusal, and the seconds for it.
DRAINED_BYTES = 32_000_000
DRAIN_SECONDS = 1.0


async def refuse_early(error: CaptionqError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the error without waiting for the whole body.

    A part of the body is read first and dropped: a client that is still sending would only see a broken connection.
    """
    headers = Headers(scope=scope)
    if "expect" not in headers and ("content-length" in headers or "transfer-encoding" in headers):
        await _drain(receive)
    await send_error(error, scope, send)


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES
    # After that, a client that waits for the answer before it sends the rest gets the answer.
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
