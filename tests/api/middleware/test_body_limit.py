"""Bodies that arrive too slowly, or in part only, and bodies of too many values."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.middleware.body_limit import MIN_RATE, BodyLimit
from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, PATIENCE, until
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits at most a second for the next piece of a body."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("hasty") / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--no-worker", ready=False, CAPTIONQ_BODY_PAUSE="1") as running:
        yield running


def begun(served: Served, path: str, kind: str, start: bytes) -> socket.socket:
    """Send a request whose Content-Length is longer than the part of the body that is sent."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n"
    connection.sendall(head.encode() + start)
    return connection


def answer(connection: socket.socket) -> tuple[bytes, Any]:
    """Read the response until the server closes the connection; return its status line and body."""
    with connection, connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return head.splitlines()[0], json.loads(body)


def test_an_upload_that_stalls_does_not_hold_up_the_others(hasty: Served) -> None:
    """The stalled upload gets 408 and its connection is closed; the next upload is accepted."""
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    stalled = begun(hasty, "/v1/folders", "multipart/form-data; boundary=x", start)
    made = hasty.client.post("/v1/folders", files={"files": ("a.png", b"not looked at yet")})
    assert made.status_code == 201
    status, body = answer(stalled)
    assert status.startswith(b"HTTP/1.1 408")
    assert body["error"]["code"] == "request_timeout"


def test_json_that_stalls_is_refused_too(hasty: Served) -> None:
    """The limit holds for bodies that FastAPI reads as well."""
    status, body = answer(begun(hasty, "/v1/jobs", "application/json", b'{"model": '))
    assert status.startswith(b"HTTP/1.1 408")
    assert body["error"]["code"] == "request_timeout"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/folders", "multipart/form-data; boundary=x"),
        ("/v1/files", "multipart/form-data; boundary=x"),
        ("/v1/folders", "application/json"),
        ("/v1/chat/completions", "application/json"),
    ],
)
def test_a_client_that_leaves_within_its_body_is_no_fault(hasty: Served, path: str, kind: str) -> None:
    """An aborted upload is neither an error of the server, with its stack in the log, nor a body that is not valid."""
    seen = hasty.log_text().count("status=499")
    begun(hasty, path, kind, b"--x" if "multipart" in kind else b"{").close()
    until(lambda: hasty.log_text().count("status=499") > seen, "the line of the request")
    log = hasty.log_text()
    assert f"route={path} status=499" in log
    assert "Traceback" not in log
    assert "status=500" not in log


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/chat/completions", "/v1/folders"])
def test_a_body_of_a_million_nothings_is_not_read(hasty: Served, path: str) -> None:
    """The body is refused by counting its commas: its objects would fill the memory."""
    body = b"[" + b"{}," * 1_000_001 + b"{}]"
    refused = hasty.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "request_too_large"
    almost = b'{"model": "' + b"," * 999_999 + b'"}'
    assert hasty.client.post(path, content=almost, headers={"Content-Type": "application/json"}).status_code == 400


def test_no_limit_applies_after_the_end_of_a_body() -> None:
    """A route that waits for its client to leave may wait for longer than a body may pause."""
    coming: list[Message] = [{"type": "http.request", "body": b"whole"}, {"type": "http.disconnect"}]
    seen: list[str] = []

    async def receive() -> Message:
        if len(coming) == 1:
            # Ten times the allowed pause.
            await asyncio.sleep(0.1)
        return coming.pop(0)

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "path": "/", "headers": []}
    asyncio.run(BodyLimit(route, Settings(body_pause=0.01))(scope, receive, send))
    assert seen == ["http.request", "http.disconnect"]


def test_a_body_that_trickles_is_refused_although_it_never_pauses_for_long() -> None:
    """A byte now and then would block the other uploads for as long as the client likes."""
    coming = 200
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal coming
        coming -= 1
        # Each pause is far shorter than allowed; together they are far longer.
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": coming > 0}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "headers": []}
    asyncio.run(BodyLimit(route, Settings(body_pause=1.0))(scope, receive, send))
    assert sent[0]["status"] == 408
    assert coming > 0


def test_a_body_that_comes_fast_enough_may_take_longer_than_a_pause() -> None:
    """Each of these pieces earns a second, and takes a twentieth of one."""
    coming = 50
    seen = 0

    async def receive() -> Message:
        nonlocal coming
        coming -= 1
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x" * MIN_RATE, "more_body": coming > 0}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        more = True
        while more:
            message = await receive()
            seen, more = seen + len(message["body"]), message["more_body"]

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "path": "/", "headers": []}
    asyncio.run(BodyLimit(route, Settings(body_pause=2.0))(scope, receive, send))
    assert seen == 50 * MIN_RATE
