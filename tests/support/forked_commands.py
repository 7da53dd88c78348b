"""Commands in forks of the fork server: they need not import captionq, which costs a command a second, a server three.

They are processes of their own like those that users start: with their environment, their signals and their children.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import captionq
from tests.support.fork_server import fork_server


class ForkedCommand:
    """A running command. Its methods are those of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], stdout: Path, stderr: Path) -> None:
        """Start `captionq` with these arguments, in this environment; its output is added to the files."""
        self._process = fork_server().Process(
            target=_run, args=(arguments, dict(environment), str(stdout), str(stderr))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the command runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status. Raises TimeoutExpired after these seconds."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("captionq", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def run_forked(
    arguments: Sequence[str], environment: Mapping[str, str], patience: float
) -> subprocess.CompletedProcess[str]:
    """Run `captionq` with these arguments to its end. Raises TimeoutExpired, and kills it, after `patience` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        command = ForkedCommand(arguments, environment, stdout, stderr)
        try:
            status = command.wait(patience)
        except subprocess.TimeoutExpired:
            command.kill()
            raise
        return subprocess.CompletedProcess(arguments, status, stdout.read_text(), stderr.read_text())


def _run(arguments: Sequence[str], environment: Mapping[str, str], stdout: str, stderr: str) -> None:
    for descriptor, path in enumerate((os.devnull, stdout, stderr)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    # multiprocessing has given the process another object, with a descriptor of its own.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    sys.argv = ["captionq", *arguments]
    captionq.main()
