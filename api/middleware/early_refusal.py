"""Refusing a request whose body has not been read."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Receive, Send

from api.errors.response import send_error
from jobs.errors import CaptionqError

#: Bytes of the body that are read before it is refused, and the seconds for it.
READ_ON = 32_000_000
READ_ON_SECONDS = 1.0


async def refuse(error: CaptionqError, headers: Headers, receive: Receive, send: Send) -> None:
    """Answer with the error, and close. A little of the body is read before, and dropped: a client that is still sending would
    only see a broken connection.
    """
    if "expect" not in headers and ("content-length" in headers or "transfer-encoding" in headers):
        await _read_on(receive)
    await send_error(error, send)


async def _read_on(receive: Receive) -> None:
    left = READ_ON
    # One that waits for the answer before it sends the rest gets it then.
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_ON_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
