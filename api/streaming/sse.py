"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors.body import detail_of
from api.errors.translation import translate_error

#: What keeps proxies from holding events back.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
HEARTBEAT_COMMENT = KEEPALIVE_COMMENT


def event_bytes(data: object, *, event: str | None = None, id_: str | None = None) -> bytes:
    """One event; `data` as JSON in one line."""
    # In ASCII: there are clients that take U+2028 and U+0085 for ends of lines.
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return format_sse_event(data_str=text, event=event, id=id_)


class EventStream(StreamingResponse):
    """Events for one client. `at_end` is awaited however it ends: also when the client has gone before the first event.

    What breaks the events is told in a last one, of the name `error_name`: the status has been sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        status_code: int = 200,
        *,
        at_end: Callable[[], Awaitable[None]] | None = None,
        error_name: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(_told_of_errors(events, error_name), status_code, headers={**HEADERS, **(headers or {})})
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._at_end is not None:
                with anyio.CancelScope(shield=True):
                    await self._at_end()


async def _told_of_errors(events: AsyncIterator[bytes], error_name: str | None) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield event_bytes({"error": detail_of(translate_error(error)).model_dump()}, event=error_name)
