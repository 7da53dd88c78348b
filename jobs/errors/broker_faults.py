"""Faults of the queue's server as typed errors: what is wrong, and the way out of it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from jobs.errors.base import first_line
from jobs.errors.services import (
    BrokerAccessError,
    BrokerCertificateError,
    BrokerClusterError,
    BrokerError,
    BrokerFullError,
    BrokerMasterError,
    BrokerPermissionError,
    BrokerReadOnlyError,
    BrokerSilentError,
)

#: The end of sentences about faults that pass.
_KEPT = "Jobs accepted before are stored, and run when it does."


def broker_error(error: Exception, place: str | None = None) -> BrokerError:
    """Return the error that says what is wrong with the queue's server.

    Args:
        error: an error of redis-py, or a BrokerError, which is returned as it is.
        place: the server's address, without a password; empty: unknown. None: the reader is a client of the API, and is told no
            address and no words of the server.
    """
    if isinstance(error, BrokerError):
        return error
    server = f"The queue's server at {place}" if place else "The queue's server"
    said = f" ({first_line(error).rstrip('.')})" if place is not None else ""
    no_tls = ", without TLS at this port" if place is not None and place.startswith("rediss") else ""
    tls = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if tls is not None:
        return _of_tls(server, tls)
    match error:
        case AuthenticationError() if error.status_code == "NOAUTH":
            return BrokerAccessError(
                f"{server} asks for a password. Put it into CAPTIONQ_REDIS_URL: redis://user:password@host:6379/0."
            )
        case AuthenticationError() | AuthorizationError():
            return BrokerAccessError(
                f"{server} refuses the user name or the password{said}. Put the right ones into CAPTIONQ_REDIS_URL: "
                "redis://user:password@host:6379/0, special characters percent-encoded."
            )
        case NoPermissionError():
            return BrokerPermissionError(
                f"{server} does not permit its user a command that captionq needs{said}. "
                "The chapter about several Macs in the documentation has a rule (ACL) that is enough."
            )
        case MasterNotFoundError():
            return _of_sentinels(error)
        case OutOfMemoryError():
            return BrokerFullError(f"{server} has no memory left for the queue (maxmemory). {_KEPT}")
        case ReadOnlyError() | MasterDownError():
            return BrokerReadOnlyError(
                f"{server} is a read-only replica. CAPTIONQ_REDIS_URL has to name the master. {_KEPT}"
            )
        case RedisTimeoutError():
            return BrokerSilentError(
                f"{server} does not answer: it is suspended, overloaded{no_tls} or cut off. {_KEPT}"
            )
        case BusyLoadingError():
            return BrokerSilentError(f"{server} is still reading its file. {_KEPT}")
        case AskError() | ClusterDownError() | ClusterCrossSlotError():
            return BrokerClusterError(f"{server} is a cluster. Use a server without cluster mode.")
        case _ if "MISCONF" in str(error):
            return BrokerReadOnlyError(
                f"{server} accepts no writes because it cannot save to its disk: free some space, and see its log. {_KEPT}"
            )
        case _:
            return BrokerError(f"{server} cannot be used{said}.")


def _of_tls(server: str, error: ssl.SSLError) -> BrokerCertificateError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return BrokerCertificateError(
            f"{server} has a certificate that is not trusted ({error.verify_message.rstrip('.')}). Use the host name that the "
            "certificate is for, and name its authority: rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem."
        )
    reason = error.reason or str(error)
    if "VERSION" in reason or "RECORD_LAYER" in reason:
        return BrokerCertificateError(
            f"{server} does not speak TLS at this port ({reason}). Use its TLS port, or redis:// in CAPTIONQ_REDIS_URL."
        )
    # The server's alert may be lost: then only the end of the connection is seen.
    return BrokerCertificateError(
        f"{server} refuses the certificate of this machine, or asks for one ({reason}). "
        "Name one: rediss://host:6379/0?ssl_certfile=/path/to/client.pem&ssl_keyfile=/path/to/client.key."
    )


def _of_sentinels(error: MasterNotFoundError) -> BrokerError:
    # redis-py puts the sentinels' own errors into the text.
    said = str(error)
    if "AuthenticationError" in said:
        return BrokerAccessError(
            "A sentinel refuses the user name or the password. Put them into CAPTIONQ_REDIS_URL: "
            "?sentinel_username=…&sentinel_password=…"
        )
    if "ConnectionError" in said or "TimeoutError" in said:
        return BrokerMasterError(
            "None of the sentinels in CAPTIONQ_REDIS_URL answers with a master. Check their addresses. With rediss+sentinel:// "
            "sentinels and servers need TLS and certificates that are trusted, with redis+sentinel:// neither has TLS."
        )
    return BrokerMasterError(
        "The sentinels know no living master by the name of the service in CAPTIONQ_REDIS_URL. "
        "Check the name, or wait until they have chosen a new master."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
