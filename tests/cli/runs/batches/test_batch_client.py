"""The client of `captionq batch`, against a small server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cli.runs.batches.batch_client import connected
from jobs.errors import ServerError


class _Batches(BaseHTTPRequestHandler):
    """Answers every request with the newest batch."""

    def do_GET(self) -> None:
        body = b'{"data": [{"id": "batch_1"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server."""
    with HTTPServer(("127.0.0.1", 0), _Batches) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_of_this_machine_is_asked_without_a_proxy(
    port: int, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy cannot reach it. Macs have one in their network settings, where Python finds it, too."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with connected(f"http://{host}:{port}", None) as client:
        assert client.newest(1) == [{"id": "batch_1"}]
    with pytest.raises(ServerError), connected("http://captionq.invalid", None) as client:
        client.newest(1)
