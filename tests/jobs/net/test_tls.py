"""Downloads over TLS."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jobs.configuration.settings import Settings
from jobs.errors import (
    ImageDownloadError,
    ImageUnavailableError,
)
from jobs.net import http_client
from jobs.net.image_download import fetch_image
from tests.support.processes import PATIENCE

IMAGE = b"\x89PNG and so on"


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
    case: str, tmp_path: Path, download_settings: Settings, monkeypatch: pytest.MonkeyPatch
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
            assert fetch_image(url, download_settings) == IMAGE
        else:
            with pytest.raises(ImageDownloadError, match="localhost has no valid certificate") as caught:
                fetch_image(url, download_settings)
            assert not caught.value.transient
        thread.join(PATIENCE)


@pytest.mark.usefixtures("fresh_certificates")
def test_the_deadline_holds_within_tls(
    tmp_path: Path, download_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
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
            fetch_image(url, download_settings.model_copy(update={"fetch_seconds": 1.0}))
        thread.join(PATIENCE)
