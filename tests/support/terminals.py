"""Commands in terminals of their own, which can be closed."""

from __future__ import annotations

import os
import pty
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.processes import PATIENCE, Captionq


class Terminal:
    """A pseudo-terminal with a command in it, which is the leader of its session."""

    def __init__(self, captionq: Captionq, *arguments: str | Path) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execve(captionq.script, [captionq.script, *map(str, arguments)], captionq.environment)
        os.set_blocking(self._descriptor, False)
        self._shown = b""

    def wait_for(self, happened: Callable[[str], bool]) -> None:
        """Read what the command prints until the condition holds for all of it."""
        deadline = time.monotonic() + PATIENCE
        while not happened(self._shown.decode(errors="replace")):
            assert time.monotonic() < deadline, self._shown.decode(errors="replace")
            with suppress(BlockingIOError):
                self._shown += os.read(self._descriptor, 65536)
            time.sleep(0.02)

    def close(self) -> None:
        """Close the terminal: the system sends SIGHUP to the command, whose writes fail from now on."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def exit_status(self) -> int:
        """Wait for the command's end, and return its status; a signal is negative."""
        deadline = time.monotonic() + PATIENCE
        while (found := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, "waited in vain: the command's end"
            time.sleep(0.02)
        self.pid = 0
        return os.waitstatus_to_exitcode(found[1])


@contextmanager
def in_terminal(captionq: Captionq, *arguments: str | Path) -> Iterator[Terminal]:
    """Run a command in a terminal of its own for the block."""
    terminal = Terminal(captionq, *arguments)
    try:
        yield terminal
    finally:
        terminal.close()
        if terminal.pid:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
