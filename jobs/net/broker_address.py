"""The address of a queue's server (CAPTIONQ_REDIS_URL), and a connection to it: by TCP, TLS, a unix socket or through sentinels.

The parameters of an address are redis-py's own, for example `?ssl_ca_certs=/path/to/ca.pem`.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from redis import Redis
from redis.connection import parse_url
from redis.sentinel import Sentinel

from jobs.errors import BrokerAddressError
from jobs.net.broker_retry import ANSWER_SECONDS, BrokerRetry

#: redis-py's scheme for the server behind each scheme. The forms with sentinels are those of redis-sentinel-url and others.
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "sentinel": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "rediss",
}
#: Files and folders that parameters may name.
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_TLS = (*_FILES, "ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers")
_SENTINEL = ("sentinel_username", "sentinel_password")
_PARAMETERS = ("db", "username", "password", "protocol", "socket_timeout", "socket_connect_timeout")
_FORM = (
    "Write redis://user:password@host:6379/0, with special characters of the user name and the password percent-encoded: "
    "%40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25 for %."
)
_DATABASE = re.compile(r"/?\d*")
#: The port of a sentinel whose address names none.
_SENTINEL_PORT = 26379


def connect_to(url: str) -> Redis:
    """Make a client of the server at this address. Connects at its first command. Raises BrokerAddressError."""
    try:
        parts = urlsplit(url)
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            raise _unusable(f"It begins with none of {', '.join(f'{one}://' for one in _SCHEMES)}.")
        _check_parameters(parts)
        if parts.scheme != scheme:
            return _through_sentinels(parts, scheme)
        if scheme == "unix" and (parts.hostname or len(parts.path) < 2):
            raise _unusable("Write unix:///path/of/the/socket, with three slashes.")
        if scheme != "unix" and not (parts.hostname and parts.port != 0 and _DATABASE.fullmatch(parts.path)):
            raise _unusable(_FORM)
        return Redis.from_url(url, **connection_options())
    except ValueError:
        # The text of the error may hold a part of the password.
        raise _unusable(_FORM) from None


def connection_options() -> dict[str, Any]:
    """Return the options of each client of a queue's server: its retries and the time that an answer may take."""
    # `retry` is always given: without it a client made from an address never retries, and a plain one for many seconds.
    return {"retry": BrokerRetry(), "socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}


def _check_parameters(parts: SplitResult) -> None:
    known = [*_PARAMETERS]
    if _SCHEMES[parts.scheme] == "rediss":
        known += _TLS
    if "sentinel" in parts.scheme:
        known += _SENTINEL
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    for name in given:
        if name in _TLS and name not in known:
            raise _unusable(f"Its parameter {name} is about TLS: begin it with rediss:// or rediss+sentinel://.")
        if name not in known:
            raise _unusable(f"Its parameter {name} is none of {', '.join(known)}.")
    for name in _FILES:
        if name in given and not os.access(given[name], os.R_OK):
            raise _unusable(f"Its parameter {name} names {given[name]}, which is missing or cannot be read.")


def _through_sentinels(parts: SplitResult, scheme: str) -> Redis:
    """Make a client of the master that sentinels name: `redis+sentinel://user:password@host:26379,host2:26379/service/0`."""
    user, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service or not _DATABASE.fullmatch(database):
        raise _unusable("It names no sentinel or no service. Write redis+sentinel://host:26379,host2:26379/service.")
    options = parse_url(f"{scheme}://{user}@host/{database}?{parts.query}")
    del options["host"]
    is_tls = options.pop("connection_class", None) is not None
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")} | (
        {"ssl": True} if is_tls else {}
    )
    sentinels = [_host(one) for one in hosts.split(",")]
    client: Redis = Sentinel(sentinels, sentinel_kwargs={**connection_options(), **tls, **own}).master_for(
        unquote(service), **{**connection_options(), **options, **tls}
    )
    return client


def _unusable(sentence: str) -> BrokerAddressError:
    return BrokerAddressError(f"CAPTIONQ_REDIS_URL cannot be used. {sentence}")


def _host(address: str) -> tuple[str, int]:
    """Return host and port of a sentinel. Raises ValueError."""
    parts = urlsplit(f"//{address}")
    if parts.hostname is None:
        raise ValueError(address)
    return parts.hostname, parts.port or _SENTINEL_PORT
