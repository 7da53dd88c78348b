"""Real servers of a queue on this machine's network: Valkey with its options, a sentinel, and TLS in front of a server."""

from __future__ import annotations

import contextlib
import datetime
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis import Redis
from redis.exceptions import RedisError

from jobs.queue.broker_server import server_binary
from tests.support.processes import until


@dataclass(frozen=True)
class Valkey:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    #: A connection of the user that may do everything.
    connection: Redis

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the server for the block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def valkey(folder: Path, *options: str, configuration: str = "", port: int | None = None) -> Iterator[Valkey]:
    """Run a server at a free port of the loopback address. `configuration`: the text of a file that it may rewrite."""
    port = port or free_port()
    file = folder / f"{port}.conf"
    file.write_text(configuration)
    command = [str(server_binary()), str(file), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--dir", str(folder), "--save", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port, socket_timeout=5) as connection:
            until(lambda: _answers(connection), "the server")
            yield Valkey(port, process, connection)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Authority:
    """A certificate authority, whose certificates are files of one folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Make an authority with the file `ca.pem`."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = cls(folder, key, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")]))
        authority._write("ca", authority.name, key, is_authority=True)
        return authority

    def certify(self, host: str) -> Path:
        """Write a certificate for a host, and its key, into one file, and return the file."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        return self._write(host, name, ec.generate_private_key(ec.SECP256R1()), is_authority=False)

    def _write(self, host: str, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool) -> Path:
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{host}.pem"
        path.write_bytes(b"" if is_authority else private)
        with path.open("ab") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
        return path


@contextlib.contextmanager
def tls_in_front_of(port: int, certificate: Path, authority: Path) -> Iterator[int]:
    """Speak TLS at a port, which is returned, and pass everything on to the server; clients need a certificate.

    The packaged server is built without TLS. Managed servers end it in front of their servers too.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(client, context, port), daemon=True).start()


def _pass_on(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError), client:
        try:
            outer = context.wrap_socket(client, server_side=True)
        except ssl.SSLError:
            # The alert is lost if the socket closes before the client's first command was read.
            client.settimeout(1)
            client.recv(65536)
            raise
        with outer, socket.create_connection(("127.0.0.1", port)) as inner:
            while True:
                ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    (inner if one is outer else outer).sendall(data)


@contextlib.contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Suspend a process for the block, which may end the process."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _answers(connection: Redis) -> bool:
    try:
        return bool(connection.ping())
    except RedisError:
        return False


@contextlib.contextmanager
def full(server: Valkey) -> Iterator[None]:
    """Leave the server without memory for the block."""
    server.connection.config_set("maxmemory", "1")
    try:
        yield
    finally:
        server.connection.config_set("maxmemory", "0")


@contextlib.contextmanager
def demoted(server: Valkey) -> Iterator[None]:
    """Make the server a read-only replica for the block. It keeps its values: its master cannot be reached."""
    server.connection.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        server.connection.replicaof("NO", "ONE")


@contextlib.contextmanager
def unable_to_save(server: Valkey) -> Iterator[None]:
    """Let the server refuse writes for the block, because it could not save them to its disk."""
    folder = Path(str(server.connection.config_get("dir")["dir"]))
    (folder / "dump.rdb").mkdir()
    server.connection.config_set("save", "3600 1")
    server.connection.bgsave()
    until(lambda: server.connection.info("persistence")["rdb_last_bgsave_status"] == "err", "the fault")
    try:
        yield
    finally:
        server.connection.config_set("save", "")
        (folder / "dump.rdb").rmdir()


#: Faults of servers that answer and accept no writes, with the codes of their errors.
WRITE_FAULTS = [(full, "broker_full"), (demoted, "broker_read_only"), (unable_to_save, "broker_read_only")]
