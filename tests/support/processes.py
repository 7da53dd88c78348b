"""The real `captionq`, as a process, in a data folder of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from jobs.queue import broker
from jobs.settings import Settings

SCRIPT = Path(sys.executable).with_name("captionq")
#: A name for data folders with what breaks careless code: a space as in macOS' "Application Support", an apostrophe, a
#: letter outside of ASCII. Short, so that the socket lies in the data folder where the path to it allows.
DATA_FOLDER = "it's dätä"
#: Seconds that anything may take on a slow machine before a test gives up on it.
PATIENCE = 120.0


class Captionq:
    """Starts commands for one data folder, and knows what they leave."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.script = str(SCRIPT)
        self.environment = {
            **os.environ,
            "CAPTIONQ_DATA_DIR": str(settings.data_dir),
            "CAPTIONQ_MODEL": "demo",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "100",
        }

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """A command in the background, with its output in pipes."""
        command = [self.script, *map(str, arguments)]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: str | Path, patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return ended(self.start(*arguments), patience)

    def worker_pid(self) -> int:
        """Of the worker that holds the lock."""
        return int(self.settings.worker_lock.read_text())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The worker stands still meanwhile: what runs cannot end, and what waits cannot begin. It may be killed so."""
        worker = psutil.Process(self.worker_pid())
        until(lambda: self._is_stopped_between_transactions(worker), "the worker to stand still")
        try:
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                worker.resume()

    def _is_stopped_between_transactions(self, worker: psutil.Process) -> bool:
        worker.suspend()
        until(lambda: worker.status() == psutil.STATUS_STOPPED, "the signal")
        with closing(sqlite3.connect(self.settings.data_dir / "captionq.db", timeout=0)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                # It holds the database, and nobody else could write: a little further.
                worker.resume()
                return False
        return True

    def processes(self) -> list[psutil.Process]:
        """Workers and brokers that run for this data folder."""
        running = processes_with("CAPTIONQ_DATA_DIR", self.settings.data_dir)
        return [process for process in running if process.pid != os.getpid() and process.info["cmdline"]]

    def broker_answers(self) -> bool:
        """Whether a broker runs for this data folder."""
        return broker.find(self.settings) is not None

    def kill_all(self) -> None:
        """At the end of a test, whatever it left."""
        kill(self.processes())


def processes_with(variable: str, folder: Path) -> list[psutil.Process]:
    """Processes that were started with this folder in a variable of their environment. One may end at any moment."""
    # All is asked at once: whoever has ended by a second question would raise.
    found = psutil.process_iter(["cmdline", "environ", "status"])
    mine = [process for process in found if (process.info["environ"] or {}).get(variable) == str(folder)]
    return [process for process in mine if process.info["status"] != psutil.STATUS_ZOMBIE]


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL, to those that have not ended meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def ended(process: subprocess.Popen[str], patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Wait for a process, and take what it said."""
    stdout, stderr = process.communicate(timeout=patience)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def until(happened: Callable[[], bool], what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)
