"""Processes whose disk fails: `disk_shim.c`, compiled and preloaded, and a server that forks them ready imported."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import pickle
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

from tests.faults.scenario import Life, live

_SOURCE = Path(__file__).with_name("disk_shim.c")


class Mode(IntEnum):
    """What the N-th change of a file meets."""

    NOTHING = 0
    KILL = 1  #: the process dies before it
    TEAR = 2  #: the process dies in the middle of a write, or after another change
    FULL_ONCE = 3  #: there is no room (ENOSPC)
    FULL = 4  #: there is no room for a third of a second
    BROKEN_ONCE = 5  #: the device fails (EIO)
    BROKEN = 6  #: the device fails for a third of a second


def compile_shim(folder: Path) -> Path:
    """Compile the shim; skip the test where that is not possible."""
    if platform.system() != "Linux" or shutil.which("gcc") is None:
        pytest.skip("Disk faults need Linux and gcc: a library is preloaded into the processes.")
    library = folder / "disk_shim.so"
    command = ["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


@dataclass
class Turn:
    """The end of a process."""

    #: The exit status; negative: the signal that killed it.
    status: int
    #: Number of changes of files; 0 if the process was killed.
    changes: int


class ShimmedLives:
    """Turns of a life in processes with the shim."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self._server = server

    def turn(self, life: Life, at: int = 0, mode: Mode = Mode.NOTHING, journal: Path | None = None) -> Turn:
        """Live once; the change number `at` of a file meets the fault. `journal`: gets a record of each change."""
        asked = pickle.dumps((life, at, int(mode), journal))
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(base64.b64encode(asked).decode() + "\n")
        self._server.stdin.flush()
        status, changes = json.loads(self._server.stdout.readline())
        return Turn(os.waitstatus_to_exitcode(status), changes)


@contextmanager
def shimmed_lives(library: Path) -> Iterator[ShimmedLives]:
    """Run the server that forks the processes."""
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    command = [sys.executable, "-m", "tests.faults.disk_shim"]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as server:
        yield ShimmedLives(server)
        assert server.stdin is not None
        server.stdin.close()
        server.wait()


def _serve() -> None:
    shim = ctypes.CDLL(None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        life, at, mode, journal = pickle.loads(base64.b64decode(line))
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.dup2(2, 1)
            log = -1 if journal is None else os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            shim.disk_shim_arm(os.fsencode(life.settings.data_dir.parent), ctypes.c_long(at), mode, log)
            status = live(life)
            os.write(writer, str(shim.disk_shim_count()).encode())
            os._exit(status)
        os.close(writer)
        changes = os.read(reader, 100)
        os.close(reader)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps([status, int(changes or b"0")]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
