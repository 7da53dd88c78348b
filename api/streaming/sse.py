"""Server-sent events: their format, and the response that sends them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors.body import detail_of
from api.errors.translation import translate_error

#: Headers that keep proxies from holding events back.
NO_BUFFERING = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
HEARTBEAT_COMMENT = KEEPALIVE_COMMENT


def event_bytes(data: object, *, event: str | None = None, id_: str | None = None) -> bytes:
    """Format one event; `data` becomes one line of JSON, unless it is a string already."""
    # In ASCII: some clients take U+2028 and U+0085 for ends of lines.
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return format_sse_event(data_str=text, event=event, id=id_)


class EventStream(StreamingResponse):
    """A response of server-sent events.

    An exception among the events becomes a last event, because the status has been sent by then.
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
        """Prepare the response.

        Args:
            at_end: awaited however the stream ends, also if the client leaves before the first event.
            error_name: the name of the event that reports an error; None: an event without a name.
        """
        super().__init__(
            _with_error_event(events, error_name), status_code, headers={**NO_BUFFERING, **(headers or {})}
        )
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._at_end is not None:
                with anyio.CancelScope(shield=True):
                    await self._at_end()


async def _with_error_event(events: AsyncIterator[bytes], error_name: str | None) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield event
    except Exception as error:
        yield event_bytes({"error": detail_of(translate_error(error)).model_dump()}, event=error_name)
