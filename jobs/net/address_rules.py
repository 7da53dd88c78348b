"""Which addresses on the net may be contacted: public ones over https, and those that the settings allow.

What somebody else names may lead into the network that this machine stands in. A name is therefore resolved once, all that it
resolves to is judged, and the connection goes to the very address that was judged: asked again, the name might lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, quote, urlsplit

import httpcore2

from jobs.errors import AddressForbiddenError, InvalidRequestError
from jobs.net.deadline import Deadline, TimedStream
from jobs.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Characters of an address; longer ones serve no honest purpose.
MAX_URL = 8192
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
#: Stays as it is in a path or a query: what has a meaning there, and what is quoted already.
_SAFE = "%/:?@!$&'()*+,;=~-._[]"

#: The only part of IPv6 that is given out for the public.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: NAT64: the last 32 bits are the IPv4 address that it leads to.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Not for the public, but `is_global` to one version of Python or another.
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
    """Whether an address belongs to the public net, and with it the IPv4 address that may be embedded in it."""
    address = _embedded(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    # A multicast address can be global.
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _SPECIAL)


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of these networks, or the IPv4 address that is embedded in it."""
    return any(_embedded(address) in network for network in networks)


def check_url(url: str, settings: Settings) -> httpcore2.URL:
    """What may be asked for, as far as can be said without the net: the rest is checked by `PinnedBackend`.

    Raises InvalidRequestError, and AddressForbiddenError for a host that is an address itself; messages name the host at most.
    """
    if len(url) > MAX_URL or not url.isprintable() or any(character in url for character in " \\"):
        raise InvalidRequestError("The address is not valid: it is too long, or holds a blank or a backslash.")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http"):
            raise InvalidRequestError("The address is not valid: it has to begin with https://.")
        port, host = parts.port, _ascii_host(parts)
    except ValueError:
        raise InvalidRequestError("The address is not valid: there is no host in it, or no valid one.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequestError(f"The address holds a user's name or password for {host}. Leave them out.")
    if port == 0:
        raise InvalidRequestError(f"The address names port 0 of {host}, which nobody listens at.")
    if parts.scheme == "http" and not settings.allowed_networks:
        raise InvalidRequestError(
            f"{host} is contacted over https:// alone, unless CAPTIONQ_ALLOWED_NETWORKS holds it."
        )
    for address in _numeric(host):
        _check_address(address, host, settings.allowed_networks, plain=parts.scheme == "http")
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    return httpcore2.URL(scheme=parts.scheme, host=host, port=port, target=target)


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to public addresses and to those in `allowed`; `plain`, without TLS, to the latter alone.

    Resolving a name is limited by the system's resolver, everything else by the deadline.
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
        """Raises AddressForbiddenError, or what httpcore's own backend raises."""
        addresses = _resolved(host, port)
        # All of them: a name that leads to one forbidden address leads there at the next try.
        for address in addresses:
            _check_address(address, host, self._allowed, plain=self._plain)
        # Shares, so that an address that never answers leaves time for the next one.
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
    # The message says nothing about the address: it would tell strangers how the network here is laid out.
    if not is_public(address):
        raise AddressForbiddenError(
            f"{host} may not be contacted: it is not on the public net, nor in CAPTIONQ_ALLOWED_NETWORKS."
        )
    if plain:
        raise AddressForbiddenError(
            f"{host} may not be contacted over http: use https://, or add its network to CAPTIONQ_ALLOWED_NETWORKS."
        )


def _numeric(host: str) -> list[Address]:
    """The address that a host is itself, in any of the ways in which the system reads one (`127.1`, `2130706433`)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return []
    return [ipaddress.ip_address(sockaddr[0]) for *_, sockaddr in found]


def _embedded(address: Address) -> Address:
    """The IPv4 address that traffic to this one ends at, if it is such a one; else the address itself."""
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
    """The host as it is resolved. Raises ValueError."""
    host = parts.hostname or ""
    if ":" in host:
        # Without a scope (`%eth0`): it would choose one of this machine's interfaces.
        if "%" in host:
            raise ValueError
        return str(IPv6Address(host))
    host = host.encode("idna").decode()
    if not _HOST.fullmatch(host):
        raise ValueError
    return host
