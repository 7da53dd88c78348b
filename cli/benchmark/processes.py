"""The contestants' processes: started with settings of their own, and ended with whoever started them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from jobs.errors import BenchmarkError

#: Seconds that a worker gets to end.
STOP_SECONDS = 30.0
#: Lines of a failed process's last words that are shown.
LAST_WORDS = 3


#: Settings that would lead a contestant into its user's own data, or keep it out of its pictures.
_NOT_THEIRS = ("CAPTIONQ_DATABASE_URL", "CAPTIONQ_REDIS_URL", "CAPTIONQ_ALLOWED_ROOTS")


def start(code: str, *arguments: str | Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Run Python code in a process that takes tasks from a pipe, hands results through another, and logs into a file."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS}
    # -P: a folder named `cli` where the user happens to be must not be taken for ours. A session of its own: Ctrl-C is for
    # the one who started it, and who ends it.
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code, *map(str, arguments)],
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[bytes], log: Path, task: str = "") -> bytes:
    """Hand the task over, wait, and return what the process wrote. Killed when the wait is. Raises BenchmarkError."""
    try:
        output, _ = process.communicate(task.encode())
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        raise died(process, log)
    return output


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that runs until its standard input closes. One that has ended is left alone."""
    if process.poll() is not None:
        return
    try:
        process.communicate(timeout=STOP_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def died(process: subprocess.Popen[bytes], log: Path) -> BenchmarkError:
    """What to raise about a process that ended by itself."""
    words = log.read_text(errors="replace").strip().splitlines()
    # captionq's own commands say what is wrong in such a line; an interpreter that ends with threads says more after it.
    said = [line for line in words if line.startswith("Error: ")] or words
    reason = " ".join(said[-LAST_WORDS:]) or "no word"
    return BenchmarkError(f"A process of the benchmark ended with {process.returncode}: {reason}")
