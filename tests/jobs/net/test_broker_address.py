"""Addresses of queue servers, against real servers: TLS, users with rules, sentinels, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import (
    BrokerAccessError,
    BrokerAddressError,
    BrokerCertificateError,
    BrokerClusterError,
    BrokerError,
    BrokerMasterError,
    BrokerPermissionError,
    BrokerReadOnlyError,
)
from jobs.net.broker_address import connect_to
from jobs.queue import broker
from tests.support.brokers import Authority, Valkey, free_port, tls_in_front_of, valkey
from tests.support.processes import until

#: A password of characters that are special in addresses.
PASSWORD = "p@ss/w:rd?#%"
ENCODED = quote(PASSWORD, safe="")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server with a user that has a password and may do everything, and one that may only read."""
    with valkey(tmp_path_factory.mktemp("server")) as server:
        server.connection.acl_setuser(
            "anna", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], categories=["+@all"]
        )
        server.connection.acl_setuser(
            "reader", enabled=True, nopass=True, keys=["*"], categories=["+@read", "+@connection"]
        )
        yield server


@dataclass(frozen=True)
class Tls:
    """TLS in front of a server."""

    port: int
    folder: Path

    def url(self, *parameters: str, host: str = "localhost") -> str:
        return f"rediss://{host}:{self.port}/0?{'&'.join(parameters)}"

    def file(self, name: str) -> str:
        return quote(str(self.folder / f"{name}.pem"))


@pytest.fixture(scope="module")
def tls(server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    """TLS for `localhost`, with certificates for servers and clients."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority.make(folder)
    authority.certify("mac")
    with tls_in_front_of(server.port, authority.certify("localhost"), folder / "ca.pem") as port:
        yield Tls(port, folder)


def fault(url: str) -> BrokerError:
    """Return the error of an address, and make sure that it shows no password."""
    with pytest.raises(BrokerError) as caught:
        broker.find(Settings(redis_url=url))
    for secret in (PASSWORD, ENCODED, "ss/w", "wrong-secret"):
        assert secret not in str(caught.value)
    return caught.value


def test_a_user_with_a_password_connects(server: Valkey) -> None:
    """Special characters are percent-encoded, and nobody sees the password."""
    with closing(connect_to(f"redis://anna:{ENCODED}@127.0.0.1:{server.port}/0")) as connection:
        assert connection.acl_whoami() == "anna"
        assert PASSWORD not in repr(connection)


def test_tls_with_a_client_certificate_connects(tls: Tls) -> None:
    """The parameters are redis-py's own."""
    url = tls.url(f"ssl_ca_certs={tls.file('ca')}", f"ssl_certfile={tls.file('mac')}", f"ssl_keyfile={tls.file('mac')}")
    with closing(connect_to(url)) as connection:
        assert connection.ping()


def test_faults_of_tls_are_told(tls: Tls) -> None:
    """The certificate is not trusted, is for another host, or this machine has none."""
    ca, mine = f"ssl_ca_certs={tls.file('ca')}", f"ssl_certfile={tls.file('mac')}&ssl_keyfile={tls.file('mac')}"
    untrusted = fault(tls.url(mine))
    assert (type(untrusted), "is not trusted (" in untrusted.message) == (BrokerCertificateError, True)
    other = fault(tls.url(ca, mine, host="127.0.0.1"))
    assert (type(other), "mismatch" in other.message) == (BrokerCertificateError, True)
    none = fault(tls.url(ca))
    assert (type(none), "ssl_certfile=" in none.message) == (BrokerCertificateError, True)
    assert not none.transient


@pytest.mark.parametrize(
    ("user", "kind", "words"),
    [
        ("anna:wrong-secret@", BrokerAccessError, "refuses the user name or the password"),
        ("nobody:wrong-secret@", BrokerAccessError, "refuses the user name or the password"),
        (f"anna:{PASSWORD}@", BrokerAddressError, "percent-encoded"),
    ],
)
def test_faults_of_a_user_are_told(server: Valkey, user: str, kind: type[BrokerError], words: str) -> None:
    """The server's own words name the fault, and never the password."""
    error = fault(f"redis://{user}127.0.0.1:{server.port}/0")
    assert (type(error), words in error.message, error.transient) == (kind, True, False)


def test_a_refused_password_is_tried_once(server: Valkey) -> None:
    """Managed servers lock out clients that repeat a wrong password."""
    server.connection.acl_log_reset()
    fault(f"redis://anna:wrong-secret@127.0.0.1:{server.port}/0")
    [entry] = server.connection.acl_log()
    assert entry["count"] == 1


def test_a_user_that_may_not_write_is_told_the_command(server: Valkey) -> None:
    """The server's words name it."""
    settings = Settings(redis_url=f"redis://reader:any@127.0.0.1:{server.port}/0")
    with closing(connect_to(str(settings.redis_url))) as connection:
        error = broker.fault_of(connection, settings)
    assert (type(error), "'set' command" in str(error)) == (BrokerPermissionError, True)


def test_a_server_that_asks_for_a_password_is_told(server: Valkey) -> None:
    """A password for everyone, and an address without one."""
    server.connection.config_set("requirepass", PASSWORD)
    try:
        error = fault(server.url)
    finally:
        server.connection.config_set("requirepass", "")
    assert (type(error), "asks for a password" in error.message) == (BrokerAccessError, True)


def test_a_cluster_is_told(tmp_path: Path) -> None:
    """A node of a cluster answers, and takes no entries."""
    with valkey(tmp_path, "--cluster-enabled", "yes") as server:
        error = broker.fault_of(server.connection, Settings(redis_url=server.url))
    assert type(error) is BrokerClusterError


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host", "begins with none of redis://"),
        ("redis://host/zero", "Write redis://user:password@host:6379/0"),
        ("redis://:ss/w@host:6379", "percent-encoded"),
        ("redis://host:port", "percent-encoded"),
        ("redis:///0", "percent-encoded"),
        ("unix://run/redis.sock", "three slashes"),
        ("redis://host?typo=1", "parameter typo is none of db"),
        ("redis://host?db=x", "percent-encoded"),
        ("redis://host?ssl_ca_certs=/ca.pem", "begin it with rediss://"),
        ("rediss://host?ssl_ca_certs=/no/ca.pem", "names /no/ca.pem, which is missing"),
        ("redis+sentinel://host:26379", "no sentinel or no service"),
        ("redis+sentinel://host:x/service", "percent-encoded"),
        ("redis://host?sentinel_password=wrong-secret", "parameter sentinel_password is none of"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(url: str, words: str) -> None:
    """Before anything is contacted."""
    error = fault(url)
    assert (type(error), words in error.message) == (BrokerAddressError, True)
    assert error.message.startswith("CAPTIONQ_REDIS_URL cannot be used. ")


def test_a_sentinel_leads_to_the_master_and_follows_it(tmp_path: Path) -> None:
    """A master that dies is replaced by its replica, and the same client goes on there."""
    watched = "sentinel monitor queue 127.0.0.1 {} 1\nsentinel down-after-milliseconds queue 300\n"
    with (
        valkey(tmp_path, "--repl-diskless-sync-delay", "0") as master,
        valkey(tmp_path, "--replicaof", f"127.0.0.1 {master.port}") as replica,
    ):
        until(lambda: replica.connection.info("replication")["master_link_status"] == "up", "the replica")
        assert type(broker.fault_of(replica.connection, Settings(redis_url=replica.url))) is BrokerReadOnlyError
        configuration = watched.format(master.port)
        with valkey(tmp_path, "--sentinel", configuration=configuration) as sentinel:
            hosts = f"127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}"
            assert type(fault(f"redis+sentinel://{hosts}/other")) is BrokerMasterError
            connection = broker.find(Settings(redis_url=f"redis+sentinel://{hosts}/queue/0"))
            assert connection is not None
            with closing(connection):
                connection.set("kept", "yes")
                until(lambda: master.connection.wait(1, 100) == 1, "the copy")
                until(lambda: _replicas(sentinel) == 1, "the sentinel to know the replica")
                master.process.kill()
                until(lambda: broker.fault_of(connection, Settings(redis_url="redis://x")) is None, "the failover")
                assert connection.get("kept") == b"yes"
                assert replica.connection.info("replication")["role"] == "master"
    error = fault(f"redis+sentinel://{hosts}/queue")
    assert (type(error), "None of the sentinels" in error.message, error.transient) == (BrokerMasterError, True, True)


def _replicas(sentinel: Valkey) -> int:
    return len(Redis(port=sentinel.port).sentinel_slaves("queue"))
