"""The early refusal of a request: before its body has been read."""

from __future__ import annotations

import asyncio

from starlette.types import Message

from api.middleware.early_refusal import refuse_early
from jobs.errors import AuthenticationError


def test_a_body_that_is_coming_is_read_before_it_is_refused() -> None:
    """Closing the connection while a body arrives resets it, and the client loses the answer."""
    pieces: list[Message] = [
        {"type": "http.request", "body": b"x", "more_body": True},
        {"type": "http.request", "body": b"y", "more_body": False},
    ]
    happened: list[str] = []

    async def receive() -> Message:
        happened.append("piece")
        return pieces.pop(0)

    async def send(message: Message) -> None:
        happened.append(message["type"])

    scope = {"type": "http", "path": "/v1/jobs", "headers": [(b"content-length", b"2")]}
    asyncio.run(refuse_early(AuthenticationError(), scope, receive, send))
    assert happened == ["piece", "piece", "http.response.start", "http.response.body"]
