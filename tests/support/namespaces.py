"""Network namespaces: machines of their own for processes of a test, whose network can be cut. Linux, as root, with iproute2."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Namespace:
    """A network of its own, joined to this machine by one cable."""

    name: str
    #: The address of this machine, as the namespace sees it.
    gateway: str
    cable: str

    @property
    def prefix(self) -> list[str]:
        """The words before a command that runs in the namespace."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Pull the cable: packets are lost, and no connection is closed."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        _ip("link", "set", self.cable, "up")


def are_possible() -> bool:
    """Try whether this machine lets the tests make a namespace."""
    if shutil.which("ip") is None:
        return False
    name = f"cq-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        _ip("netns", "delete", name)
    return made.returncode == 0


@contextmanager
def namespace(number: int) -> Iterator[Namespace]:
    """Make a namespace; `number` from 1 to 200 tells those of one test apart."""
    name, cable = f"cq{os.getpid()}-{number}", f"cq{os.getpid() % 100_000}-{number}"
    made = Namespace(name, f"10.213.{number}.1", cable)
    with ExitStack() as undo:
        _ip("netns", "add", name)
        undo.callback(_ip, "netns", "delete", name)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{made.gateway}/24", "dev", cable)
        _ip("link", "set", cable, "up")
        for words in ("link set lo up", "link set eth0 up", f"address add 10.213.{number}.2/24 dev eth0"):
            _ip("-n", name, *words.split())
        yield made


@contextmanager
def forwarded(host: str, target: Path) -> Iterator[int]:
    """Forward a port of an address of this machine, which is yielded, to a unix socket."""
    with socket.create_server((host, 0)) as server:
        threading.Thread(target=_accept, args=(server, target), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            # Wakes the thread, which would wait for ever.
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, target: Path) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_join, args=(client, target), daemon=True).start()


def _join(client: socket.socket, target: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as far, suppress(OSError):
        far.connect(str(target))
        back = threading.Thread(target=_copy, args=(far, client), daemon=True)
        back.start()
        _copy(client, far)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until an end is closed, and close both directions, so that the other copy ends too."""
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
