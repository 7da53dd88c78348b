"""Memory, descriptors and threads of the processes of a server, and the memory of its broker, every few seconds."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
from redis import Redis
from redis.exceptions import RedisError

#: Seconds between two looks.
INTERVAL = 5.0
_MB = 1e6


@dataclass
class Series:
    """Values of one thing over time."""

    #: Monotonic seconds.
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def since(self, begin: float) -> tuple[list[float], list[float]]:
        """Return times in hours and values, from a moment on."""
        kept = [(at / 3600, value) for at, value in zip(self.at, self.values, strict=True) if at >= begin]
        return [at for at, _ in kept], [value for _, value in kept]


class Measurement:
    """A thread that looks at a server, its worker and its broker."""

    def __init__(self, server: psutil.Process, broker: Redis) -> None:
        self._server, self._broker = server, broker
        self.series: dict[str, Series] = defaultdict(Series)
        #: Process ids of each kind: a second one is a restart.
        self.processes: dict[str, set[int]] = defaultdict(set)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            at = time.monotonic()
            self._note("machine, load average", at, psutil.getloadavg()[0])
            for process in [self._server, *self._server.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    self._look_at(process, at)
            with suppress(RedisError):
                self._note("Redis, used memory (MB)", at, self._broker.info("memory")["used_memory"] / _MB)
                self._note("Redis, keys", at, self._broker.dbsize())

    def _look_at(self, process: psutil.Process, at: float) -> None:
        kind = self._kind(process)
        if kind is None:
            return
        with process.oneshot():
            # The process's own memory: without pages that it shares with others or that belong to files.
            memory, descriptors, threads = process.memory_full_info().uss, process.num_fds(), process.num_threads()
        self.processes[kind].add(process.pid)
        self._note(f"{kind}, memory (MB)", at, memory / _MB)
        self._note(f"{kind}, descriptors", at, descriptors)
        self._note(f"{kind}, threads", at, threads)

    def _kind(self, process: psutil.Process) -> str | None:
        if process.pid == self._server.pid:
            return "server"
        words = process.cmdline()
        if "work" in words:
            return "worker"
        return "broker" if words and "valkey-server" in words[0] else None

    def _note(self, name: str, at: float, value: float) -> None:
        self.series[name].at.append(at)
        self.series[name].values.append(value)
