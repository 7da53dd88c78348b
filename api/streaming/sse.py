"""Streams: messages that are sent as they come, and server-sent events, the form that most of them have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.errors.body import detail_of
from api.errors.forms import openai_error
from api.errors.translation import translate_error
from jobs.errors import CaptionqError

#: Headers that keep proxies from holding events back.
NO_BUFFERING = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
#: Seconds without an event after which a stream sends a comment, to show that the connection lives.
HEARTBEAT = 15.0
HEARTBEAT_COMMENT = KEEPALIVE_COMMENT


def event_bytes(data: object, *, event: str | None = None, id_: str | None = None) -> bytes:
    """Format one event; `data` becomes one line of JSON, unless it is a string already."""
    # In ASCII: some clients take U+2028 and U+0085 for ends of lines.
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return format_sse_event(data_str=text, event=event, id=id_)


class MessageStream(StreamingResponse):
    """A response of messages that are sent as they come.

    An exception among the messages becomes a last message, because the status has been sent by then.
    """

    def __init__(
        self,
        messages: AsyncIterator[bytes],
        status_code: int = 200,
        *,
        media_type: str,
        failure: Callable[[CaptionqError], bytes],
        at_end: Callable[[], Awaitable[None]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Prepare the response.

        Args:
            failure: makes the message that reports an error.
            at_end: awaited however the stream ends, also if the client leaves before the first message.
        """
        super().__init__(
            _with_failure(messages, failure),
            status_code,
            media_type=media_type,
            headers={**NO_BUFFERING, **(headers or {})},
        )
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._at_end is not None:
                with anyio.CancelScope(shield=True):
                    await self._at_end()


class EventStream(MessageStream):
    """A response of server-sent events."""

    # FastAPI reads both from the class, for the OpenAPI document.
    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        status_code: int = 200,
        *,
        at_end: Callable[[], Awaitable[None]] | None = None,
        error_name: str | None = None,
    ) -> None:
        """Prepare the response; `error_name`: the name of the event that reports an error; None: an event without a name."""
        super().__init__(
            events,
            status_code,
            media_type=self.media_type,
            failure=lambda error: event_bytes(openai_error(detail_of(error)), event=error_name),
            at_end=at_end,
        )


async def _with_failure(
    messages: AsyncIterator[bytes], failure: Callable[[CaptionqError], bytes]
) -> AsyncIterator[bytes]:
    try:
        async for message in messages:
            yield message
    except Exception as error:
        yield failure(translate_error(error))
