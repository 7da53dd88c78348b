"""The rules for addresses hold for every name and spelling of an address."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network
from typing import Any

import httpcore2
import pytest

from jobs.configuration.settings import Settings
from jobs.errors import AddressForbiddenError, InvalidRequestError
from jobs.net.address_rules import PinnedBackend, check_url, is_allowed, is_public
from jobs.net.deadline import Deadline
from tests.support.servers import reply, serving

LOOPBACK = (ip_network("127.0.0.1/32"),)


def backend(*networks: Any, plain: bool = False) -> PinnedBackend:
    return PinnedBackend(networks, Deadline(5), plain=plain)


def give(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make names resolve to these addresses at the first try, the second … Returns the list of names that are resolved."""
    asked: list[str] = []
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if host[0].isdigit() or ":" in host or options.get("flags") == socket.AI_NUMERICHOST:
            return list(system(host, port, *arguments, **options))
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [entry for address in addresses for entry in system(address, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_addresses_of_the_public_net_are_public(address: str) -> None:
    """So are addresses that embed a public IPv4 address: an IPv6-only network has no others for IPv4 hosts."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("192.0.0.9", "192.0.0.192", "192.88.99.1", "198.18.0.1", "168.63.129.16"),
        *("::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "100::1"),
        *("2001:db8::1", "3fff::1", "5f00::1", "2001:0:808:808::1", "2001:20::1", "64:ff9b:1::1", "::7f00:1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "2002:7f00:1::", "2002:a9fe:a9fe::", "2002:c0a8:101::1"),
    ],
)
def test_all_other_addresses_are_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast; and IPv6 addresses that embed such IPv4 addresses."""
    assert not is_public(ip_address(address))


def test_an_allowed_network_holds_every_address_that_leads_into_it() -> None:
    """It holds no others."""
    assert is_allowed(ip_address("127.0.0.1"), LOOPBACK)
    assert is_allowed(ip_address("::ffff:127.0.0.1"), LOOPBACK)
    assert not is_allowed(ip_address("127.0.0.2"), LOOPBACK)
    assert not is_allowed(ip_address("::1"), LOOPBACK)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0"),
        *("::1", "::", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1"),
        *("fd00::1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    ],
)
def test_forbidden_addresses_are_refused_in_every_spelling(host: str) -> None:
    """The address that the system's resolver would connect to counts."""
    with pytest.raises(AddressForbiddenError) as caught:
        backend().connect_tcp(host, 9)
    assert caught.value.message.startswith(f"{host} may not be contacted")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:10.0.0.1]"])
def test_numeric_hosts_are_refused_before_anything_is_resolved(settings: Settings, host: str) -> None:
    """A forbidden numeric host is valid only if its network is allowed."""
    with pytest.raises(AddressForbiddenError, match="may not be contacted"):
        check_url(f"https://{host}/", settings)
    everywhere = settings.model_copy(update={"allowed_networks": (ip_network("0.0.0.0/0"), ip_network("::/0"))})
    check_url(f"http://{host}/", everywhere)


def test_a_name_is_refused_without_showing_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers could learn from the address how the network here is laid out."""
    give(monkeypatch, ["192.168.77.5"])
    with pytest.raises(AddressForbiddenError) as caught:
        backend().connect_tcp("intranet.example", 443)
    assert "intranet.example" in caught.value.message
    assert "192" not in caught.value.message


@pytest.mark.parametrize("addresses", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1111", "::1"]])
def test_one_forbidden_address_among_public_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    """The connection would go to the forbidden address when the first one does not answer."""
    give(monkeypatch, addresses)
    with pytest.raises(AddressForbiddenError):
        backend().connect_tcp("mixed.example", 443)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that would lead elsewhere when resolved again (DNS rebinding) is not resolved again."""
    with serving(reply()) as url:
        port = int(url.rpartition(":")[2])
        # The second address is forbidden, and no server listens there.
        asked = give(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        stream = backend(*LOOPBACK).connect_tcp("rebinding.example", port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        assert asked == ["rebinding.example"]
        stream.close()


def test_a_public_address_that_turns_private_is_still_connected_to_as_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public first and loopback after: the system connects to the public address."""
    asked = give(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    connected: list[Any] = []

    def create_connection(address: Any, *arguments: Any, **options: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(httpcore2.ConnectError):
        backend().connect_tcp("rebinding.example", 443)
    assert connected == [("8.8.8.8", 443)]
    assert asked == ["rebinding.example"]


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with several addresses are common."""
    with serving(reply()) as url:
        port = int(url.rpartition(":")[2])
        give(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        stream = backend(ip_network("127.0.0.0/8")).connect_tcp("two.example", port)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        stream.close()


def test_without_tls_only_allowed_networks_are_contacted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker on the way could replace an image from the public net."""
    give(monkeypatch, ["8.8.8.8"])
    with pytest.raises(AddressForbiddenError, match=r"public\.example may not be contacted over http: use https"):
        backend(*LOOPBACK, plain=True).connect_tcp("public.example", 80)


def test_a_name_that_does_not_exist_is_not_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may exist later, so the error is that of a failed connection."""
    give(monkeypatch, [])
    with pytest.raises(httpcore2.ConnectError):
        backend().connect_tcp("nowhere.example", 443)


def test_sockets_in_the_file_system_are_not_contacted() -> None:
    """Docker listens on such a socket."""
    with pytest.raises(NotImplementedError):
        backend().connect_unix_socket("/var/run/docker.sock")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "a.png",
            "https://",
            "https:///a.png",
            "https://:443/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "//a.example/",
        ),
        *("https://a.example:0/", "https://a.example:65536/", "https://a.example:x/", "https://user:secret@a.example/"),
        *(
            "https://user@a.example/",
            "https://a.example\\@b.example/",
            "https://a .example/",
            "https://a.example/\r\nX: y",
        ),
        *(
            "https://a.example/\n",
            "https://a..example/",
            "https://.a.example/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
        ),
        *("https://a%2eexample/", "https://a.example/" + "a" * 9000, "http://a.example/"),
    ],
)
def test_addresses_that_are_not_valid_are_refused(url: str, settings: Settings) -> None:
    """Nothing is resolved before the refusal, and its message does not repeat a possible secret."""
    with pytest.raises(InvalidRequestError) as caught:
        check_url(url, settings)
    assert "secret" not in caught.value.message


def test_the_request_goes_to_the_address_that_was_checked(settings: Settings) -> None:
    """Names and paths in other scripts are encoded once, and nothing is parsed again."""
    url = check_url("HTTPS://Bücher.Example:8443/ä b".replace(" ", "%20") + "?q=ü&r=%41#part", settings)
    assert (url.scheme, url.host, url.port) == (b"https", b"xn--bcher-kva.example", 8443)
    assert url.target == b"/%C3%A4%20b?q=%C3%BC&r=%41"
    assert check_url("https://[2606:4700::1111]", settings).host == b"2606:4700::1111"
    assert check_url("https://a.example?q", settings).target == b"/?q"


def test_http_is_valid_only_with_an_allowed_network(settings: Settings) -> None:
    """The connection then checks whether the host is in that network."""
    allowing = settings.model_copy(update={"allowed_networks": LOOPBACK})
    assert check_url("http://camera.local/a.jpg", allowing).scheme == b"http"
    with pytest.raises(InvalidRequestError, match="CAPTIONQ_ALLOWED_NETWORKS"):
        check_url("http://camera.local/a.jpg", settings)
