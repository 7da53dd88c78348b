"""Rules for the addresses that may be contacted: public ones over https, and those that the settings allow.

A name that a client sends may lead into the network that this machine stands in. A name is therefore resolved once, each address
found is checked, and the connection goes to a checked address: resolved again, the name might lead elsewhere (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, quote, urlsplit

import httpcore2

from jobs.configuration.settings import Settings
from jobs.errors import AddressForbiddenError, InvalidRequestError
from jobs.net.deadline import Deadline, TimedStream

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Maximum number of characters in an address: longer addresses serve no honest purpose.
MAX_URL = 8192
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
#: Characters that stay unquoted in a path or query: those with a meaning there, and `%`, which begins a quoted one.
_SAFE = "%/:?@!$&'()*+,;=~-._[]"

#: The only part of IPv6 that is assigned for the public net.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: NAT64: the last 32 bits are the IPv4 address that the IPv6 address leads to.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Networks that are not public, although some version of Python calls them `is_global`.
_SPECIAL: tuple[Network, ...] = (
    IPv4Network("100.64.0.0/10"),  # shared by a carrier's customers
    IPv4Network("168.63.129.16/32"),  # Azure's host, from inside of its guests
    IPv4Network("192.0.0.0/24"),  # the router's port control; Oracle's metadata
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv6Network("2001::/23"),  # Teredo and other protocols
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(address: Address) -> bool:
    """Return whether an address is public. An IPv4 address embedded in an IPv6 address counts in its place."""
    address = _embedded(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    # A multicast address can be global.
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _SPECIAL)


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether an address, or the IPv4 address embedded in it, lies in one of these networks."""
    return any(_embedded(address) in network for network in networks)


def check_url(url: str, settings: Settings) -> httpcore2.URL:
    """Check an address as far as possible without the net, and parse it. `PinnedBackend` checks the rest.

    Raises InvalidRequestError, and AddressForbiddenError for a forbidden numeric host. Messages hold no more than the host.
    """
    if len(url) > MAX_URL or not url.isprintable() or any(character in url for character in " \\"):
        raise InvalidRequestError("The address is not valid: it is too long, or contains a space or a backslash.")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http"):
            raise InvalidRequestError("The address is not valid: it must begin with https://.")
        port, host = parts.port, _ascii_host(parts)
    except ValueError:
        raise InvalidRequestError("The address is not valid: its host is missing or not valid.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequestError(f"The address contains a user name or password for {host}. Leave it out.")
    if port == 0:
        raise InvalidRequestError(f"Port 0 of {host} cannot be contacted. Use another port.")
    if parts.scheme == "http" and not settings.allowed_networks:
        raise InvalidRequestError(
            f"Only https:// addresses can be contacted at {host}. To allow http:// on your network, add it to "
            "CAPTIONQ_ALLOWED_NETWORKS."
        )
    for address in _numeric(host):
        _check_address(address, host, settings.allowed_networks, plain=parts.scheme == "http")
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    return httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=target)


class PinnedBackend(httpcore2.NetworkBackend):
    """Network backend that connects only to public addresses and to those in `allowed`.

    The system's resolver limits the time to resolve a name; the deadline limits everything else.

    Args:
        plain: connections are without TLS, and therefore only to addresses in `allowed`.
    """

    def __init__(self, allowed: Sequence[Network], deadline: Deadline, *, plain: bool) -> None:
        self._allowed = allowed
        self._deadline = deadline
        self._plain = plain

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the host's first address that answers.

        Raises AddressForbiddenError if any of its addresses is forbidden, and the errors of httpcore's own backend.
        """
        addresses = _resolved(host, port)
        # Each address is checked: a name with one forbidden address would lead there at the next try.
        for address in addresses:
            _check_address(address, host, self._allowed, plain=self._plain)
        # Each address gets a share of the time, so that an address that never answers leaves time for the next.
        share = self._deadline.left(httpcore2.ConnectTimeout) / len(addresses)
        failure: Exception = httpcore2.ConnectError()
        for address in addresses:
            try:
                stream = httpcore2.SyncBackend().connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return TimedStream(stream, self._deadline)
        raise failure


def _check_address(address: Address, host: str, allowed: Sequence[Network], *, plain: bool) -> None:
    if is_allowed(address, allowed):
        return
    # The message does not name the address: strangers could learn from it how the network here is laid out.
    if not is_public(address):
        raise AddressForbiddenError(
            f"{host} may not be contacted: it is neither a public address nor in CAPTIONQ_ALLOWED_NETWORKS."
        )
    if plain:
        raise AddressForbiddenError(
            f"{host} may not be contacted over http: use https://, or add its network to CAPTIONQ_ALLOWED_NETWORKS."
        )


def _numeric(host: str) -> list[Address]:
    """Return the address that a numeric host stands for, in any notation that the system reads (`127.1`, `2130706433`)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return []
    return [ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in found]


def _embedded(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 address, at which its traffic ends; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _resolved(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in found]
    except (OSError, ValueError) as error:
        raise httpcore2.ConnectError(error) from error
    if not addresses:
        raise httpcore2.ConnectError(f"{host} has no address")
    return list(dict.fromkeys(addresses))


def _ascii_host(parts: SplitResult) -> str:
    """Return the host in ASCII, as it is resolved. Raises ValueError."""
    host = parts.hostname or ""
    if ":" in host:
        # A scope (`%eth0`) is refused: it would choose one of this machine's interfaces.
        if "%" in host:
            raise ValueError
        return str(IPv6Address(host))
    host = host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError
    return host
