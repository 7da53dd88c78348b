"""The servers that are compared: their commands, and one of them running in a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bench.http.cores import on_core
from cli.benchmark.contest import Task
from cli.benchmark.processes import died
from jobs.errors import BenchmarkError
from jobs.own_process import captionq_command

#: Environments of the other servers, as `bench/peers.sh` makes them.
PEERS = Path("build/peers")
#: Seconds that a server gets to load its model, and to end.
START_SECONDS = 180.0
STOP_SECONDS = 30.0
#: Seconds between two looks whether a server is there.
LOOK_EVERY = 0.2


@dataclass(frozen=True)
class Server:
    """A kind of server."""

    title: str
    #: Its command, from the model and the port.
    command: Callable[[str, int], list[str]]
    #: Answers with 200 when requests may come.
    ready: str = "/v1/models"
    #: The name by which requests ask for a model in a folder.
    name_of: Callable[[Path], str] = str

    @property
    def installed(self) -> bool:
        """Whether its program is there."""
        return Path(self.command("", 0)[0]).exists()


def _peer(name: str, program: str, *arguments: str) -> Server:
    path = str((PEERS / name / "bin" / program).absolute())
    title = " ".join((program, *(word for word in arguments if word.startswith("--continuous"))))

    def command(model: str, port: int) -> list[str]:
        words = [model if word == "MODEL" else word for word in arguments]
        return [path, *words, "--host", "127.0.0.1", "--port", str(port)]

    return Server(title, command)


#: Servers by their names in the record. All decode up to 32 sequences together.
SERVERS: Mapping[str, Server] = {
    "mlx-vlm": _peer("mlx-vlm", "mlx_vlm.server", "--model", "MODEL", "--max-num-seqs", "32"),
    "vllm-mlx": _peer(
        "vllm-mlx", "vllm-mlx", "serve", "MODEL", "--mllm", "--continuous-batching", "--max-num-seqs", "32"
    ),
    "vmlx": _peer("vmlx", "vmlx", "serve", "MODEL", "--is-mllm", "--continuous-batching", "--max-num-seqs", "32"),
    "captionq": Server(
        "captionq serve",
        lambda model, port: captionq_command("serve", "--port", str(port)),
        ready="/readyz",
        name_of=lambda folder: folder.name,
    ),
}


@dataclass(frozen=True)
class Running:
    """A server that takes requests."""

    url: str
    #: The name of the model, for requests.
    model: str
    process: subprocess.Popen[bytes]


@contextmanager
def running(server: Server, task: Task, folder: Path, core: int | None) -> Iterator[Running]:
    """Run a server, all its processes on one core if `core` is given. Raises BenchmarkError."""
    port = _free_port()
    folder.mkdir(parents=True)
    log = folder / "server.log"
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(
            server.command(task.model, port),
            # In a home of its own: some keep caches there, which would know the pictures of the round before.
            env={**_inherited(), **task.environment, **_own_folders(folder), "CAPTIONQ_MODEL": task.model},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url + server.ready, log)
        yield Running(url, server.name_of(Path(task.model)), process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CAPTIONQ_")}


def _own_folders(folder: Path) -> dict[str, str]:
    # Without the result cache: no other server has one.
    own = {"HOME": str(folder), "CAPTIONQ_DATA_DIR": str(folder / "data"), "CAPTIONQ_CACHE": "false"}
    return own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None:
            raise died(process, log)
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{url} did not answer within {START_SECONDS:.0f} s; see {log}.")
        time.sleep(LOOK_EVERY)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
