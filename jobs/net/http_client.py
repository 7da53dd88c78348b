"""One HTTP request to an address that somebody else named, and its answer."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version

import httpcore2

from jobs.net.address_rules import PinnedBackend
from jobs.net.deadline import Deadline
from jobs.settings import Settings

#: What `exchange` raises besides AddressForbiddenError; also while the answer is read.
EXCHANGE_ERRORS = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)


@contextmanager
def exchange(
    method: str,
    url: httpcore2.URL,
    settings: Settings,
    deadline: Deadline,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> Iterator[httpcore2.Response]:
    """Send one request to a `check_url`ed address; no redirect is followed and no proxy used.

    Raises AddressForbiddenError and EXCHANGE_ERRORS.
    """
    plain = url.scheme == b"http"
    with (
        httpcore2.ConnectionPool(
            ssl_context=None if plain else ssl_context(),
            network_backend=PinnedBackend(settings.allowed_networks, deadline, plain=plain),
            retries=0,
        ) as pool,
        pool.stream(
            method,
            url,
            headers=[("Host", _host_header(url)), ("User-Agent", f"captionq/{version('captionq')}"), *headers.items()],
            content=content,
        ) as response,
    ):
        yield response


def header_of(response: httpcore2.Response, name: str) -> str | None:
    """The first header of this name, which is in lower case."""
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name.encode()), None)


def host_of(url: httpcore2.URL) -> str:
    """What a message may say of an address: paths and queries can hold secrets."""
    return url.host.decode()


def has_bad_certificate(error: Exception) -> bool:
    """Whether one of EXCHANGE_ERRORS is about the server's certificate, which will not be better at the next try."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)


def reason_of(error: Exception) -> str:
    """One of EXCHANGE_ERRORS as the end of a sentence that begins with the host."""
    match error:
        case httpcore2.TimeoutException():
            return "did not answer in time"
        case httpcore2.ProtocolError():
            return "broke off its answer, or does not speak HTTP"
        case _ if has_bad_certificate(error):
            return "has no valid certificate"
        case _:
            return "cannot be reached"


def _host_header(url: httpcore2.URL) -> str:
    host = host_of(url)
    name = f"[{host}]" if ":" in host else host
    return name if url.port is None else f"{name}:{url.port}"


@cache
def ssl_context() -> ssl.SSLContext:
    """Trusts what the system trusts."""
    # Made once: reading the system's certificates takes longer than many an exchange.
    return httpcore2.default_ssl_context()
