"""A guard that keeps a Mac awake while jobs run."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger("captionq.worker")

#: macOS' own program: holds a power assertion for as long as it runs.
CAFFEINATE = Path("/usr/bin/caffeinate")


class SleepGuard:
    """Prevents idle sleep (`-i`), and on mains power also system sleep (`-s`), while it is held.

    The program ends with this process (`-w`), also if this process is killed.
    """

    def __init__(self, program: Path | None = CAFFEINATE if sys.platform == "darwin" else None) -> None:
        """Make a guard. `program`: the caffeinate to run; None: this system needs none."""
        if program is not None and not program.exists():
            logger.warning("%s does not exist, so this Mac may fall asleep while jobs run.", program)
            program = None
        self._program = program

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the machine awake during a `with` block."""
        if self._program is None:
            yield
            return
        # Not `subprocess`, which forks on macOS: a process that uses Metal must not be forked.
        silent = [(os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in (0, 1, 2)]
        arguments = [str(self._program), "-is", "-w", str(os.getpid())]
        pid = os.posix_spawn(self._program, arguments, os.environ, file_actions=silent)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
