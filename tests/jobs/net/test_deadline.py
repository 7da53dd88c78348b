"""The deadline of a whole exchange."""

from __future__ import annotations

import socket
import time
from http.server import BaseHTTPRequestHandler

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import (
    ImageUnavailableError,
)
from jobs.net.image_download import fetch_image
from tests.support.servers import Answer, reply, serving


def drip(start: bytes, piece: bytes) -> Answer:
    """Answer with a piece ten times a second, for ever: no single read waits for long."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        while True:
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "header", "continue"],
)
def test_a_server_that_drips_is_left_at_the_deadline(start: bytes, piece: bytes, download_settings: Settings) -> None:
    """The limit holds for the whole exchange, not for a read."""
    begun = time.monotonic()
    with serving(drip(start, piece)) as url, pytest.raises(ImageUnavailableError, match="did not answer in time"):
        fetch_image(url, download_settings.model_copy(update={"fetch_seconds": 0.5}))
    assert time.monotonic() - begun < 60


def test_the_deadline_is_one_for_all_redirects(download_settings: Settings) -> None:
    """Each redirect by itself would be in time."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        reply(302, {"Location": "/again"})(handler)

    with serving(answer) as url, pytest.raises(ImageUnavailableError, match="did not answer in time"):
        fetch_image(url, download_settings.model_copy(update={"fetch_seconds": 1.0}))


def test_a_server_that_never_shakes_hands_is_left_at_the_deadline(download_settings: Settings) -> None:
    """The deadline holds for the TLS handshake too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begun = time.monotonic()
        with pytest.raises(ImageUnavailableError, match="did not answer in time"):
            fetch_image(
                f"https://127.0.0.1:{listener.getsockname()[1]}/",
                download_settings.model_copy(update={"fetch_seconds": 0.5}),
            )
        assert time.monotonic() - begun < 60
