"""Half-sent requests in front of a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from cli.runs.processes import header_timeout
from cli.runs.processes.header_timeout import HeaderTimeoutProtocol

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]
WHOLE = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def talk(conversation: Conversation) -> bytes:
    """Start a server, and return what the conversation with it returns."""
    config = uvicorn.Config(app, port=0, http=HeaderTimeoutProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await asyncio.wait_for(conversation(reader, writer), 10)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.should_exit = True
        await serving


async def half_sent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nhost: ")
    return await reader.read()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    return await reader.read()


async def second_half_sent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(WHOLE)
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.write(b"GET /again HTTP/1.1\r\n")
    return await reader.read()


async def slow_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    answers = b""
    for _ in range(2):
        writer.write(WHOLE)
        answers += await reader.readuntil(b"ok")
    return answers


@pytest.mark.parametrize(
    ("conversation", "answer"), [(half_sent, b"HTTP/1.1 408"), (silent, b""), (second_half_sent, b"HTTP/1.1 408")]
)
def test_a_head_that_does_not_come_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, conversation: Conversation, answer: bytes
) -> None:
    """Also that of a connection's second request; a client that has said nothing is told nothing."""
    monkeypatch.setattr(header_timeout, "HEADER_SECONDS", 0.15)
    said = asyncio.run(talk(conversation))
    assert said[: len(answer) or 1] == answer


def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for heads alone."""
    monkeypatch.setattr(header_timeout, "HEADER_SECONDS", 0.15)
    assert asyncio.run(talk(slow_answers)).count(b"HTTP/1.1 200") == 2
