"""Reading the output of macOS' own programs."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

logger = logging.getLogger("captionq.worker")

#: Seconds that a program may take. The model stands still meanwhile; they take some 10 ms.
PROGRAM_SECONDS = 2.0
_failed: set[Path] = set()


def output_of(program: Path, *arguments: str) -> str | None:
    """Return what a program prints; None: it cannot be run, or fails. The first failure of each program is logged."""
    command = [str(program), *arguments]
    try:
        # Without `close_fds`, Python starts it by posix_spawn: a process that uses Metal must not be forked.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            close_fds=False,
            timeout=PROGRAM_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        if program not in _failed:
            _failed.add(program)
            logger.warning("%s tells nothing (%s), so bulk work does not wait for it.", program, error)
        return None
    return done.stdout
