"""The watchdog: a step of the engine that does not end is ended with the process, and its stacks are in the log.

The next worker finds the jobs that ran, and counts a death for each: `jobs/store/recovery.py`.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.configuration.settings import Settings

#: Seconds between two looks of the watchdog.
TICK = 1.0
#: The status with which a process ends whose engine stood still.
EXIT_STATUS = 70


class Watchdog:
    """A thread that counts how long the present step has taken, in looks of its own.

    No clock is asked: after a sleep of the machine, or while the process was stopped, a clock has gone on and the engine has not.
    """

    def __init__(self, settings: Settings, on_tick: Callable[[float], None]) -> None:
        """`on_tick` is called at each look with the seconds that the present step has taken."""
        self._limit = settings.stall
        self._log = settings.log_dir / "worker.log"
        self._on_tick = on_tick
        #: The number of the present step; None: the engine is not at work.
        self._step: int | None = None
        self._steps = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Run the thread for the block."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=(done,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Take the block as one step of the engine."""
        self._steps += 1
        self._step = self._steps
        try:
            yield
        finally:
            self._step = None

    def _watch(self, done: threading.Event) -> None:
        seen: int | None = None
        seconds = 0.0
        while not done.wait(TICK):
            now = self._step
            seconds = seconds + TICK if now is not None and now == seen else 0.0
            seen = now
            if self._limit and seconds >= self._limit:
                self._end_process(seconds)
            self._on_tick(seconds)

    def _end_process(self, seconds: float) -> None:
        sentence = f"The engine has made no step for {seconds:.0f} s (CAPTIONQ_STALL). The worker ends, and its stacks are here:"
        # Not through `logging`, whose lock the engine's thread may hold.
        with self._log.open("a") as log:
            log.write(f"{sentence}\n")
            log.flush()
            faulthandler.dump_traceback(log)
        sys.stderr.write(f"{sentence} {self._log}\n")
        sys.stderr.flush()
        os._exit(EXIT_STATUS)
