"""Downloads of images: fetched or refused, and never held up by a server."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import (
    AddressForbiddenError,
    EmptyImageError,
    ImageDownloadError,
    ImageError,
    ImageTooLargeError,
    ImageUnavailableError,
)
from jobs.net.image_download import MAX_REDIRECTS, fetch_image
from tests.support.servers import Answer, reply, serving

IMAGE = b"\x89PNG and so on"


def fetched(answer: Answer, settings: Settings) -> bytes:
    with serving(answer) as url:
        return fetch_image(f"{url}/a.png?token=secret", settings)


def redirects(status: int, targets: list[str]) -> Answer:
    """Answer with a redirect to each target in turn, and with the image after the last."""
    left = iter(targets)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        target = next(left, None)
        shown = reply(body=IMAGE) if target is None else reply(status, {"Location": target})
        shown(handler)

    return answer


def test_an_image_is_fetched_whole(download_settings: Settings) -> None:
    """The request names captionq, and forbids compression."""
    seen: dict[str, str] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.update({"target": handler.path, **{name.lower(): value for name, value in handler.headers.items()}})
        reply(headers={"Content-Type": "text/html", "Content-Length": "90000"}, body=bytes(90_000))(handler)

    with serving(answer) as url:
        assert fetch_image(f"{url}/a%20b.png?x=1#part", download_settings) == bytes(90_000)
    assert seen.pop("user-agent").startswith("captionq/")
    assert seen == {
        "target": "/a%20b.png?x=1",
        "host": url.removeprefix("http://"),
        "accept": "image/*",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "[::]"]
)
def test_the_machine_itself_is_not_contacted(host: str, settings: Settings) -> None:
    """Without permission in the settings, not even a connection is made."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        with pytest.raises(AddressForbiddenError, match="CAPTIONQ_ALLOWED_NETWORKS"):
            fetch_image(f"https://{host}:{listener.getsockname()[1]}/", settings)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(status: int, download_settings: Settings) -> None:
    """Relative redirects are followed too."""
    assert fetched(redirects(status, ["/b.png", "c.png?x=1", "?y=2"]), download_settings) == IMAGE


@pytest.mark.parametrize(
    "target",
    ["https://127.0.0.2:9/", "https://169.254.169.254/latest/meta-data", "//127.0.0.2:9/a.png", "http://[::]:9/"],
)
def test_a_redirect_leads_to_no_forbidden_address(target: str, download_settings: Settings) -> None:
    """A stranger may control the redirects of an allowed server."""
    with pytest.raises(AddressForbiddenError, match="may not be contacted"):
        fetched(redirects(302, [target]), download_settings)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "data:image/png;base64,AAAA", "http://["]
)
def test_a_redirect_leads_nowhere_but_to_the_web(target: str, download_settings: Settings) -> None:
    """A redirect to a file of this machine is refused too."""
    with pytest.raises(ImageError):
        fetched(redirects(302, [target]), download_settings)


def test_redirects_end(download_settings: Settings) -> None:
    """A loop is a chain of redirects that is too long."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(302, {"Location": "/again"})(handler)

    with pytest.raises(ImageDownloadError, match=r"127\.0\.0\.1 redirects again after 3 redirects"):
        fetched(answer, download_settings)
    assert len(asked) == MAX_REDIRECTS + 1
    with pytest.raises(ImageDownloadError, match="a redirect without an address"):
        fetched(reply(302), download_settings)


@pytest.mark.parametrize("status", [204, 206, 304, 403, 404])
def test_refusals_are_final(status: int, download_settings: Settings) -> None:
    """A second request would give the same answer."""
    with pytest.raises(ImageDownloadError, match=f"127.0.0.1 answered {status}") as caught:
        fetched(reply(status), download_settings)
    assert not caught.value.transient


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_errors_of_a_server_in_trouble_are_transient(status: int, download_settings: Settings) -> None:
    """The worker tries again after transient errors."""
    with pytest.raises(ImageUnavailableError, match=f"127.0.0.1 answered {status}") as caught:
        fetched(reply(status), download_settings)
    assert (caught.value.transient, caught.value.code) == (True, "failed_to_download_image")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    reply(headers={"Content-Length": "1000"}, body=b"little")(handler)


def say_nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def speak_no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n" * 10)


@pytest.mark.parametrize("answer", [hang_up, say_nothing, speak_no_http])
def test_broken_answers_are_transient(answer: Answer, download_settings: Settings) -> None:
    """Half an image is not an image. No message repeats the query, which may hold a secret."""
    with pytest.raises(ImageUnavailableError) as caught:
        fetched(answer, download_settings)
    assert "127.0.0.1" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_closed_port_is_transient(download_settings: Settings) -> None:
    """The server may be starting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ImageUnavailableError, match="cannot be reached"):
        fetch_image(f"http://127.0.0.1:{port}/", download_settings)


@pytest.mark.parametrize("headers", [{"Content-Length": "100001"}, {}, {"Transfer-Encoding": "chunked"}])
def test_images_that_are_too_large_are_refused(headers: dict[str, str], download_settings: Settings) -> None:
    """The stated length and the bytes sent both count."""
    sent: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        piece = b"2710\r\n" + bytes(10_000) + b"\r\n" if "Transfer-Encoding" in headers else bytes(10_000)
        handler.protocol_version = "HTTP/1.1"
        reply(headers=headers)(handler)
        for _ in range(2000):
            handler.wfile.write(piece)
            sent.append(len(piece))

    with pytest.raises(ImageTooLargeError, match="CAPTIONQ_MAX_IMAGE_BYTES"):
        fetched(answer, download_settings)
    # The server fills the buffers on the way, and then stops.
    assert sum(sent) < 15_000_000


def test_a_length_beyond_the_limit_is_enough(download_settings: Settings) -> None:
    """The image itself is not waited for."""
    with pytest.raises(ImageTooLargeError):
        fetched(reply(headers={"Content-Length": "100001"}), download_settings)


def test_bytes_after_the_stated_length_are_not_read(download_settings: Settings) -> None:
    """A stated length that is too small does not get around the limit either."""
    assert fetched(reply(headers={"Content-Length": "5"}, body=bytes(200_000)), download_settings) == bytes(5)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_compressed_answers_are_refused(encoding: str, download_settings: Settings) -> None:
    """A small compressed answer may be a large image, or a bomb."""
    with pytest.raises(ImageDownloadError, match="compressed"):
        fetched(reply(headers={"Content-Encoding": encoding}, body=IMAGE), download_settings)
    assert fetched(reply(headers={"Content-Encoding": "identity"}, body=IMAGE), download_settings) == IMAGE


def test_an_empty_answer_is_an_empty_image(download_settings: Settings) -> None:
    """The error is that of an empty file."""
    with pytest.raises(EmptyImageError, match=r"127\.0\.0\.1"):
        fetched(reply(headers={"Content-Length": "0"}), download_settings)


def test_no_proxy_of_the_environment_is_used(download_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to any address, unchecked."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    assert fetched(reply(body=IMAGE), download_settings) == IMAGE
