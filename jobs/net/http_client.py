"""HTTP requests to addresses that clients send, one at a time."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version

import httpcore2

from jobs.configuration.settings import Settings
from jobs.net.address_rules import PinnedBackend
from jobs.net.deadline import Deadline

#: Errors of `exchange` other than AddressForbiddenError; reading the answer raises them too.
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
    """Send one request, and open its answer for the block. No redirect is followed, and no proxy is used.

    Args:
        url: an address that `check_url` returned.

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
    """Return the value of the first header of this name (in lower case), or None."""
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name.encode()), None)


def host_of(url: httpcore2.URL) -> str:
    """Return the host, the only part of an address for messages: paths and queries can hold secrets."""
    return url.host.decode()


def has_bad_certificate(error: Exception) -> bool:
    """Return whether one of EXCHANGE_ERRORS is about the server's certificate: another try would end the same."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)


def reason_of(error: Exception) -> str:
    """Describe one of EXCHANGE_ERRORS, as the end of a sentence that begins with the host."""
    match error:
        case httpcore2.TimeoutException():
            return "did not answer in time"
        case httpcore2.ProtocolError():
            return "broke off its answer or does not speak HTTP"
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
    """Return a context that trusts the system's certificates."""
    # Made once: reading the system's certificates can take longer than an exchange.
    return httpcore2.default_ssl_context()
