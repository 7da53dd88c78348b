"""Downloads of images: fetched or refused, and never held up by a server."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jobs.errors import (
    AddressForbiddenError,
    EmptyImageError,
    ImageDownloadError,
    ImageError,
    ImageForbiddenError,
    ImageNotFoundError,
    ImageTooLargeError,
    ImageUnavailableError,
    InvalidImageURLError,
)
from jobs.images.blobs import blob_address, blob_path, put_blob
from jobs.images.sources import image_source
from jobs.net import http_client
from jobs.net.image_download import MAX_REDIRECTS, fetch_image
from jobs.settings import Settings
from tests.support.processes import PATIENCE
from tests.support.servers import Answer, reply, serving

IMAGE = b"\x89PNG and so on"


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    """Settings that allow the servers of these tests, with a low limit on an image's size."""
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            # Both networks, because a name of this machine may lead to both.
            "allowed_networks": ("127.0.0.1/32", "::1/128"),
            "fetch_seconds": 60.0,
            "max_image_bytes": 100_000,
        }
    )


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


def test_an_image_is_fetched_whole(local: Settings) -> None:
    """The request names captionq, and forbids compression."""
    seen: dict[str, str] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.update({"target": handler.path, **{name.lower(): value for name, value in handler.headers.items()}})
        reply(headers={"Content-Type": "text/html", "Content-Length": "90000"}, body=bytes(90_000))(handler)

    with serving(answer) as url:
        assert fetch_image(f"{url}/a%20b.png?x=1#part", local) == bytes(90_000)
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
def test_redirects_are_followed(status: int, local: Settings) -> None:
    """Relative redirects are followed too."""
    assert fetched(redirects(status, ["/b.png", "c.png?x=1", "?y=2"]), local) == IMAGE


@pytest.mark.parametrize(
    "target",
    ["https://127.0.0.2:9/", "https://169.254.169.254/latest/meta-data", "//127.0.0.2:9/a.png", "http://[::]:9/"],
)
def test_a_redirect_leads_to_no_forbidden_address(target: str, local: Settings) -> None:
    """A stranger may control the redirects of an allowed server."""
    with pytest.raises(AddressForbiddenError, match="may not be contacted"):
        fetched(redirects(302, [target]), local)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a.png", "data:image/png;base64,AAAA", "http://["]
)
def test_a_redirect_leads_nowhere_but_to_the_web(target: str, local: Settings) -> None:
    """A redirect to a file of this machine is refused too."""
    with pytest.raises(ImageError):
        fetched(redirects(302, [target]), local)


def test_redirects_end(local: Settings) -> None:
    """A loop is a chain of redirects that is too long."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(302, {"Location": "/again"})(handler)

    with pytest.raises(ImageDownloadError, match=r"127\.0\.0\.1 redirects again after 3 redirects"):
        fetched(answer, local)
    assert len(asked) == MAX_REDIRECTS + 1
    with pytest.raises(ImageDownloadError, match="a redirect without an address"):
        fetched(reply(302), local)


@pytest.mark.parametrize("status", [204, 206, 304, 403, 404])
def test_refusals_are_final(status: int, local: Settings) -> None:
    """A second request would give the same answer."""
    with pytest.raises(ImageDownloadError, match=f"127.0.0.1 answered {status}") as caught:
        fetched(reply(status), local)
    assert not caught.value.transient


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_errors_of_a_server_in_trouble_are_transient(status: int, local: Settings) -> None:
    """The worker tries again after transient errors."""
    with pytest.raises(ImageUnavailableError, match=f"127.0.0.1 answered {status}") as caught:
        fetched(reply(status), local)
    assert (caught.value.transient, caught.value.code) == (True, "failed_to_download_image")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    reply(headers={"Content-Length": "1000"}, body=b"little")(handler)


def say_nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def speak_no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n" * 10)


@pytest.mark.parametrize("answer", [hang_up, say_nothing, speak_no_http])
def test_broken_answers_are_transient(answer: Answer, local: Settings) -> None:
    """Half an image is not an image. No message repeats the query, which may hold a secret."""
    with pytest.raises(ImageUnavailableError) as caught:
        fetched(answer, local)
    assert "127.0.0.1" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_closed_port_is_transient(local: Settings) -> None:
    """The server may be starting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ImageUnavailableError, match="cannot be reached"):
        fetch_image(f"http://127.0.0.1:{port}/", local)


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
def test_a_server_that_drips_is_left_at_the_deadline(start: bytes, piece: bytes, local: Settings) -> None:
    """The limit holds for the whole exchange, not for a read."""
    begun = time.monotonic()
    with pytest.raises(ImageUnavailableError, match="did not answer in time"):
        fetched(drip(start, piece), local.model_copy(update={"fetch_seconds": 0.5}))
    assert time.monotonic() - begun < 60


def test_the_deadline_is_one_for_all_redirects(local: Settings) -> None:
    """Each redirect by itself would be in time."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        reply(302, {"Location": "/again"})(handler)

    with pytest.raises(ImageUnavailableError, match="did not answer in time"):
        fetched(answer, local.model_copy(update={"fetch_seconds": 1.0}))


def test_a_server_that_never_shakes_hands_is_left_at_the_deadline(local: Settings) -> None:
    """The deadline holds for the TLS handshake too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        begun = time.monotonic()
        with pytest.raises(ImageUnavailableError, match="did not answer in time"):
            fetch_image(
                f"https://127.0.0.1:{listener.getsockname()[1]}/", local.model_copy(update={"fetch_seconds": 0.5})
            )
        assert time.monotonic() - begun < 60


@pytest.mark.parametrize("headers", [{"Content-Length": "100001"}, {}, {"Transfer-Encoding": "chunked"}])
def test_images_that_are_too_large_are_refused(headers: dict[str, str], local: Settings) -> None:
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
        fetched(answer, local)
    # The server fills the buffers on the way, and then stops.
    assert sum(sent) < 15_000_000


def test_a_length_beyond_the_limit_is_enough(local: Settings) -> None:
    """The image itself is not waited for."""
    with pytest.raises(ImageTooLargeError):
        fetched(reply(headers={"Content-Length": "100001"}), local)


def test_bytes_after_the_stated_length_are_not_read(local: Settings) -> None:
    """A stated length that is too small does not get around the limit either."""
    assert fetched(reply(headers={"Content-Length": "5"}, body=bytes(200_000)), local) == bytes(5)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_compressed_answers_are_refused(encoding: str, local: Settings) -> None:
    """A small compressed answer may be a large image, or a bomb."""
    with pytest.raises(ImageDownloadError, match="compressed"):
        fetched(reply(headers={"Content-Encoding": encoding}, body=IMAGE), local)
    assert fetched(reply(headers={"Content-Encoding": "identity"}, body=IMAGE), local) == IMAGE


def test_an_empty_answer_is_an_empty_image(local: Settings) -> None:
    """The error is that of an empty file."""
    with pytest.raises(EmptyImageError, match=r"127\.0\.0\.1"):
        fetched(reply(headers={"Content-Length": "0"}), local)


def test_no_proxy_of_the_environment_is_used(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to any address, unchecked."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)
    assert fetched(reply(body=IMAGE), local) == IMAGE


def make_certificate(folder: Path, name: x509.GeneralName) -> Path:
    """Write a self-signed certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def fresh_certificates() -> Iterator[None]:
    """An empty cache of certificates: no test trusts another test's certificate."""
    http_client.ssl_context.cache_clear()
    yield
    http_client.ssl_context.cache_clear()


def serve_tls(listener: socket.socket, certificate: Path, *, dripping: bool = False) -> None:
    """Answer one connection with the image. `dripping`: go on with a byte ten times a second."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener.settimeout(PATIENCE)
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
        stream.recv(10_000)
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + IMAGE)
        while dripping:
            time.sleep(0.1)
            stream.sendall(b"x")


@pytest.mark.usefixtures("fresh_certificates")
@pytest.mark.parametrize("case", ["good", "unknown", "of another host"])
def test_tls_is_checked_against_the_name(
    case: str, tmp_path: Path, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to an address, and the certificate is for the host. An error of the certificate is final."""
    host = "other.example" if case == "of another host" else "localhost"
    certificate = make_certificate(tmp_path, x509.DNSName(host))
    if case != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_tls, args=(listener, certificate), daemon=True)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}/a.png"
        if case == "good":
            assert fetch_image(url, local) == IMAGE
        else:
            with pytest.raises(ImageDownloadError, match="localhost has no valid certificate") as caught:
                fetch_image(url, local)
            assert not caught.value.transient
        thread.join(PATIENCE)


@pytest.mark.usefixtures("fresh_certificates")
def test_the_deadline_holds_within_tls(tmp_path: Path, local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most images come over TLS."""
    certificate = make_certificate(tmp_path, x509.DNSName("localhost"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=serve_tls, args=(listener, certificate), kwargs={"dripping": True}, daemon=True
        )
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}/"
        with pytest.raises(ImageUnavailableError, match="did not answer in time"):
            fetch_image(url, local.model_copy(update={"fetch_seconds": 1.0}))
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    "url", ["https://", "http://a.example/a.png", "https://u:p@a.example/", "https://a.example:99999/"]
)
def test_addresses_that_are_not_valid_have_their_own_error(url: str, settings: Settings) -> None:
    """The caller can correct such an address."""
    with pytest.raises(InvalidImageURLError):
        image_source(url, settings)


def test_a_job_finds_its_image_on_the_net_and_among_the_blobs(local: Settings) -> None:
    """One function finds both, and refuses a malformed address of a blob."""
    local.make_folders()
    with serving(reply(body=IMAGE)) as url:
        assert image_source(f"{url}/a.png", local, roots=[]) == IMAGE
    sha256, _ = put_blob([IMAGE], local, most=1000, too_large=ImageTooLargeError)
    assert image_source(blob_address(sha256), local, roots=[]) == blob_path(sha256, local)
    with pytest.raises(ImageNotFoundError):
        image_source(blob_address("0" * 64), local)
    with pytest.raises(ImageError):
        image_source("blob:../../etc/passwd", local)


def test_a_list_of_roots_takes_the_place_of_the_settings(tmp_path: Path, settings: Settings) -> None:
    """No file lies below an empty list of roots."""
    inside, outside = tmp_path / "inside" / "a.png", tmp_path / "outside" / "a.png"
    for path in (inside, outside):
        path.parent.mkdir()
        path.write_bytes(IMAGE)
    assert image_source(inside.as_uri(), settings, roots=[inside.parent]) == inside.resolve()
    assert image_source(outside.as_uri(), settings) == outside.resolve()
    for roots in ([], [inside.parent]):
        with pytest.raises(ImageForbiddenError, match="CAPTIONQ_SERVED_ROOTS"):
            image_source(outside.as_uri(), settings, roots=roots)
