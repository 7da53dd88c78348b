"""What a server and its children take of the machine: CPU seconds and resident memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

#: Seconds between two looks at the memory.
LOOK_EVERY = 0.5


class Usage:
    """CPU seconds of all threads in a block, and the largest resident memory (bytes) that was seen in it."""

    def __init__(self, pid: int) -> None:
        parent = psutil.Process(pid)
        self._processes = [parent, *parent.children(recursive=True)]
        self._before = self._cpu()
        self.cpu_seconds = 0.0
        self.rss = 0.0

    def look(self) -> None:
        """Look at the processes now."""
        self.cpu_seconds = self._cpu() - self._before
        self.rss = max(self.rss, sum(self._each(lambda one: one.memory_info().rss)))

    def _cpu(self) -> float:
        return sum(self._each(lambda one: sum(one.cpu_times()[:2])))

    def _each(self, value: Callable[[psutil.Process], float]) -> list[float]:
        found: list[float] = []
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                found.append(value(process))
        return found


@contextmanager
def usage_of(pid: int) -> Iterator[Usage]:
    """Measure a process and its children during the block."""
    usage, done = Usage(pid), threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY):
            usage.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        done.set()
        thread.join()
        usage.look()
