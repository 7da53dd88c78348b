"""The real `captionq` as a process, in a data folder of its own."""

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

from jobs.configuration.settings import Settings
from jobs.queue import broker
from tests.support.forked_commands import run_forked

SCRIPT = Path(sys.executable).with_name("captionq")
#: A name of data folders that breaks careless code: it has a space (as macOS' "Application Support"), an apostrophe and
#: letters outside of ASCII. It is short, so that the socket's path usually fits into the data folder.
DATA_FOLDER = "it's dätä"
#: Seconds after which a test gives up waiting, also on a slow machine.
PATIENCE = 120.0


class Captionq:
    """Commands of one data folder, and the processes that they leave."""

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
        """Start a command in the background, with its output in pipes."""
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
        """Run a command to its end, in a fork of a process that has imported captionq (`start` imports it as users do)."""
        return run_forked(list(map(str, arguments)), self.environment, patience)

    def worker_pid(self) -> int:
        """Return the process id of the worker that holds the lock."""
        return int(self.settings.worker_lock.read_text().split()[0])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend the worker for the block: running jobs cannot end, and waiting jobs cannot begin. The block may kill it."""
        worker = psutil.Process(self.worker_pid())
        until(lambda: self._is_stopped_between_transactions(worker), "the worker to stand still")
        try:
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                worker.resume()

    @contextmanager
    def paused_at(self, happened: Callable[[], bool], what: str) -> Iterator[None]:
        """Let the worker run a moment at a time until the condition is true, and suspend it for the block (see `paused`).

        However late this process looks, the worker has not gone much further. `what` names the condition in the failure.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with self.paused():
                if happened():
                    yield
                    return
            time.sleep(0.02)
        raise AssertionError(f"waited in vain: {what}")

    def _is_stopped_between_transactions(self, worker: psutil.Process) -> bool:
        worker.suspend()
        until(lambda: worker.status() == psutil.STATUS_STOPPED, "the signal")
        with closing(sqlite3.connect(self.settings.data_dir / "captionq.db", timeout=0)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                # The worker holds the database, so no other process could write: let it run a little further.
                worker.resume()
                return False
        return True

    def processes(self) -> list[psutil.Process]:
        """Return the workers and brokers that run for this data folder."""
        running = processes_with("CAPTIONQ_DATA_DIR", self.settings.data_dir)
        return [process for process in running if process.pid != os.getpid() and process.info["cmdline"]]

    def broker_answers(self) -> bool:
        """Tell whether a broker runs for this data folder."""
        return broker.find(self.settings) is not None

    def kill_all(self) -> None:
        """Kill all processes that a test has left."""
        kill([*self.processes(), *self._server()])

    def _server(self) -> Iterator[psutil.Process]:
        """Yield the queue's server. It overwrites its environment with its title, so only its lock file names it."""
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            yield psutil.Process(int((self.settings.broker_dir / "server.lock").read_text()))


def processes_with(variable: str, folder: Path) -> list[psutil.Process]:
    """Return the processes whose environment has this folder in this variable. A process may end at any moment."""
    # All attributes are read at once: a second read would raise for a process that has ended meanwhile.
    found = psutil.process_iter(["cmdline", "environ", "status"])
    mine = [process for process in found if (process.info["environ"] or {}).get(variable) == str(folder)]
    return [process for process in mine if process.info["status"] != psutil.STATUS_ZOMBIE]


def kill(processes: list[psutil.Process]) -> None:
    """Send SIGKILL to the processes that have not ended meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process has ended, also if its parent has not asked for its status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ended(process: subprocess.Popen[str], patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Wait for the end of a process, and return its output."""
    stdout, stderr = process.communicate(timeout=patience)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def until(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until the condition is true; `what` names it in the failure."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)
