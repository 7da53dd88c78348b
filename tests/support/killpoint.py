"""A worker that kills itself at its Nth write to Redis, before or after the bytes leave.

`python -m tests.support.killpoint` imports once, and forks a worker for each line that it reads: a worker's imports take longer
than the jobs of the tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redis.connection import AbstractConnection

from jobs.configuration.settings import Settings
from worker import service

Moment = Literal["before", "after"]
#: mlx starts its threads with its first computation, so it may be imported before a fork; on a Mac its libraries may not.
_LIBRARIES = ("mlx_vlm.utils", "worker.models.backends") if sys.platform == "linux" else ()


@dataclass
class WorkerEnd:
    """The end of a worker."""

    #: The exit status; negative: the signal that killed it.
    status: int
    #: Number of writes of a worker that had nothing left to do; 0 if it was killed.
    writes: int


class KilledWorkers:
    """Workers in processes of their own, forks of a server."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def work(self, settings: Settings, point: int, moment: Moment) -> WorkerEnd:
        """Run a worker until it kills itself at the write of this number, or has nothing left to do."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([str(settings.data_dir), point, moment]) + "\n")
        self._server.stdin.flush()
        status, writes = json.loads(self._server.stdout.readline())
        return WorkerEnd(os.waitstatus_to_exitcode(status), writes)


@contextmanager
def killed_workers() -> Iterator[KilledWorkers]:
    """Run the server that forks the workers."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as server:
        yield KilledWorkers(server)


def _serve() -> None:
    for name in _LIBRARIES:
        __import__(name)
    for line in sys.stdin:
        folder, point, moment = json.loads(line)
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.dup2(2, 1)
            os._exit(_work(Path(folder), point, moment, writer))
        os.close(writer)
        _, status = os.waitpid(child, 0)
        writes = os.read(reader, 100)
        os.close(reader)
        sys.stdout.write(json.dumps([status, int(writes or b"0")]) + "\n")
        sys.stdout.flush()


def _work(folder: Path, point: int, moment: Moment, writer: int) -> int:
    """Work until the lanes are empty or the write is reached, and tell the number of writes. Returns the exit status."""
    try:
        writes = _count_writes(point, moment)
        service.run(Settings(data_dir=folder), burst=True)
        os.write(writer, str(len(writes)).encode())
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _count_writes(point: int, moment: Moment) -> list[None]:
    """Kill this process at the write of this number. Returns a list that grows by one with each write."""
    send: Any = AbstractConnection.send_packed_command
    writes: list[None] = []

    def counted(self: AbstractConnection, *arguments: Any, **options: Any) -> Any:
        # Other threads only listen: their writes are not part of processing a job.
        if threading.current_thread() is not threading.main_thread():
            return send(self, *arguments, **options)
        writes.append(None)
        if len(writes) == point and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        sent = send(self, *arguments, **options)
        if len(writes) == point and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return sent

    AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
    return writes


if __name__ == "__main__":
    _serve()
