"""A server without a timer: it ends when it is told to, and its answers bear the present date."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from cli.runs.processes.quiet_server import QuietServer


async def ok(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _served(talk: Callable[[int], Any]) -> tuple[list[bytes], QuietServer]:
    """Serve while `talk` runs, and end the server from another thread. Returns the answers."""
    config = uvicorn.Config(ok, port=0, log_config=None, lifespan="off")
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    answers = await talk(server.servers[0].sockets[0].getsockname()[1])
    threading.Timer(0.01, lambda: setattr(server, "should_exit", True)).start()
    await asyncio.wait_for(serving, 60)
    return answers, server


async def _ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_answers_bear_the_date_of_their_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """No timer renews the date."""
    times = [1_000_000_000.5, 1_000_000_060.5]

    async def talk(port: int) -> list[bytes]:
        answers = []
        for now in times:
            monkeypatch.setattr("cli.runs.processes.quiet_server.time.time", lambda now=now: now)
            answers.append(await _ask(port))
        return answers

    first, second = asyncio.run(_served(talk))[0]
    assert b"date: Sun, 09 Sep 2001 01:46:40 GMT" in first
    assert b"date: Sun, 09 Sep 2001 01:47:40 GMT" in second
    assert first.count(b"date:") == 1
    assert b"server: uvicorn" in first


def test_a_server_without_clients_sets_no_timer() -> None:
    """uvicorn's own loop sleeps for a tenth of a second, again and again."""

    async def talk(port: int) -> list[bytes]:
        loop: Any = asyncio.get_running_loop()
        await asyncio.sleep(0)
        return [repr(timer).encode() for timer in loop._scheduled if not timer.cancelled()]

    assert asyncio.run(_served(talk))[0] == []
