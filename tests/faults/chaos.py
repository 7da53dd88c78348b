"""Faults of whole processes, at random: kills, stops and losses under `captionq serve`, and a supervisor that starts it again."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import psutil
from redis.exceptions import RedisError

from jobs.configuration.settings import Settings
from jobs.queue import broker
from tests.faults.history import History
from tests.support.processes import Captionq


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Supervised:
    """A command that is started again when it ends, as launchd would do it."""

    def __init__(self, captionq: Captionq, log: Path, *arguments: str, until_done: bool = False) -> None:
        """`until_done`: the command is not started again once it has ended with 0."""
        self._captionq, self._log, self._arguments, self._until_done = captionq, log, arguments, until_done
        self.process: subprocess.Popen[bytes] | None = None
        self.done = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._log.open("ab") as log:
            while not self._stopping.is_set() and not self.done.is_set():
                self.process = subprocess.Popen(
                    [self._captionq.script, *self._arguments],
                    env=self._captionq.environment,
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


class Chaos:
    """One fault after another."""

    def __init__(
        self,
        settings: Settings,
        serve: Supervised,
        command: Supervised,
        history: History,
        *,
        seed: int,
        pause: float,
        is_ready: Callable[[], bool],
        only: Collection[str] = (),
    ) -> None:
        """Begin.

        Args:
            settings: of the server.
            serve: the server, which starts again by itself.
            command: a command that captions a folder beside it.
            history: gets the number of faults of each kind.
            seed: decides which fault comes when.
            pause: seconds between two faults, about. A process is frozen for as long at most.
            is_ready: asks the server. After its death the next fault waits, or there would never be one.
            only: kinds of faults; empty: all.
        """
        self._settings, self._serve, self._command, self._history = settings, serve, command, history
        self._dice, self._pause, self._is_ready, self._only = random.Random(seed), pause, is_ready, only
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Stop the faults. Every process goes on."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        faults: dict[str, Callable[[], bool]] = {
            "kill worker": lambda: self._kill(self._worker()),
            "kill broker": lambda: self._kill(self._broker()),
            "kill API": lambda: self._kill(self._process(self._serve)),
            "kill command": lambda: self._kill(self._process(self._command)),
            "freeze worker": lambda: self._freeze(self._worker()),
            "freeze broker": lambda: self._freeze(self._broker()),
            "freeze API": lambda: self._freeze(self._process(self._serve)),
            "flush broker": self._flush,
        }
        order: list[str] = []
        while not self._stopping.wait(self._dice.uniform(0.3, 1.0) * self._pause):
            # Each of them comes about as often, also in a short run.
            order = order or self._dice.sample(sorted(self._only or faults), len(self._only or faults))
            name = order.pop()
            with suppress(psutil.NoSuchProcess, RedisError):
                if faults[name]():
                    self._history.faults[name] += 1
            while name == "kill API" and not self._is_ready() and not self._stopping.wait(0.2):
                pass

    def _worker(self) -> psutil.Process | None:
        return self._of_file(self._settings.worker_lock)

    def _broker(self) -> psutil.Process | None:
        return self._of_file(self._settings.broker_dir / "server.lock")

    def _of_file(self, path: Path) -> psutil.Process | None:
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            process = psutil.Process(int(path.read_text().split()[0]))
            # A process id of a process that has ended may be another program's by now.
            return process if any("captionq" in one or "valkey" in one for one in process.cmdline()) else None
        return None

    def _process(self, supervised: Supervised) -> psutil.Process | None:
        running = supervised.process
        return None if running is None or running.poll() is not None else psutil.Process(running.pid)

    def _kill(self, process: psutil.Process | None) -> bool:
        if process is not None:
            process.send_signal(signal.SIGKILL)
        return process is not None

    def _freeze(self, process: psutil.Process | None) -> bool:
        if process is None:
            return False
        process.suspend()
        self._stopping.wait(self._dice.uniform(0.2, 1.0) * self._pause)
        process.resume()
        return True

    def _flush(self) -> bool:
        connection = broker.find(self._settings)
        if connection is None:
            return False
        with connection:
            connection.flushall()
        return True
