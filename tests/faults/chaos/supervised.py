"""A supervisor that starts a command again when it ends."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Supervised:
    """A command that is started again when it ends, as launchd would do it."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, *, until_done: bool = False
    ) -> None:
        """`until_done`: the command is not started again once it has ended with 0."""
        self._command, self._environment, self._log, self._until_done = command, environment, log, until_done
        self.process: subprocess.Popen[bytes] | None = None
        self.done = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._log.open("ab") as log:
            while not self._stopping.is_set() and not self.done.is_set():
                self.process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                if self.process.wait() == 0 and self._until_done:
                    self.done.set()
                time.sleep(0.2)

    def stop(self) -> int | None:
        """End the command by SIGTERM. Returns its exit status."""
        self._stopping.set()
        told: subprocess.Popen[bytes] | None = None
        while self._thread.is_alive():
            # The thread may be about to start another one.
            if self.process is not None and self.process is not told:
                told = self.process
                told.terminate()
            self._thread.join(0.1)
        return None if self.process is None else self.process.returncode
