"""The contestants' processes: started with settings of their own, and ended with the benchmark."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jobs.errors import BenchmarkError
from jobs.own_process import python_command

#: Seconds that a process gets to end.
STOP_SECONDS = 30.0
#: Last lines of a failed process's output that an error shows.
SHOWN_LINES = 3
#: Settings that are not inherited: they would lead a contestant into the user's data, or keep it out of its pictures.
_NOT_INHERITED = ("CAPTIONQ_DATABASE_URL", "CAPTIONQ_REDIS_URL", "CAPTIONQ_ALLOWED_ROOTS")


def start(code: str, *arguments: str | Path, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Run Python code in a process with pipes for its task and its result, and a file for its log."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    # A session of its own: Ctrl-C goes to the benchmark only, which then ends this process.
    with log.open("ab") as errors:
        return subprocess.Popen(
            python_command(code, *map(str, arguments)),
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )


def ended(process: subprocess.Popen[bytes], log: Path, task: str = "") -> bytes:
    """Hand over the task, wait for the end, return the output. An interrupted wait kills the process. Raises BenchmarkError."""
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
    """End a process, if it still runs, by closing its standard input; kill it after STOP_SECONDS."""
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
    """Make the error for a process that ended by itself, with its last output."""
    words = log.read_text(errors="replace").strip().splitlines()
    # captionq's own errors begin with "Error: "; an interpreter that ends while threads run prints more after them.
    said = [line for line in words if line.startswith("Error: ")] or words
    reason = " ".join(said[-SHOWN_LINES:]) or "no output"
    return BenchmarkError(f"A process of the benchmark ended with {process.returncode}: {reason}")
