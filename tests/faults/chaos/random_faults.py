"""One fault after another, chosen by a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil
from redis.exceptions import RedisError

from tests.faults.history import History


@dataclass(frozen=True)
class Moment:
    """What a fault may use while it happens."""

    dice: random.Random
    #: Seconds that a fault of this run lasts at most, usually.
    pause: float
    stopping: threading.Event

    def hold(self) -> None:
        """Wait for as long as the fault lasts, or until the faults stop."""
        self.stopping.wait(self.dice.uniform(0.2, 1.0) * self.pause)


#: Lets something happen; returns False if it was not possible now.
Fault = Callable[[Moment], bool]


class Chaos:
    """A thread that lets faults happen."""

    def __init__(
        self, faults: Mapping[str, Fault], history: History, *, seed: int, pause: float, is_ready: Callable[[], bool]
    ) -> None:
        """Begin.

        Args:
            faults: what may happen, by its name.
            history: gets the number of faults of each kind.
            seed: decides which fault comes when.
            pause: seconds between two faults, about.
            is_ready: asks the server. After the death of the API the next fault waits, or there would never be one.
        """
        self._faults, self._history, self._is_ready = faults, history, is_ready
        self._stopping = threading.Event()
        self._moment = Moment(random.Random(seed), pause, self._stopping)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Stop the faults. Every process goes on."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        dice = self._moment.dice
        order: list[str] = []
        while not self._stopping.wait(dice.uniform(0.3, 1.0) * self._moment.pause):
            # Each of them comes about as often, also in a short run.
            order = order or dice.sample(sorted(self._faults), len(self._faults))
            name = order.pop()
            with suppress(psutil.NoSuchProcess, RedisError):
                if self._faults[name](self._moment):
                    self._history.faults[name] += 1
            while name == "kill API" and not self._is_ready() and not self._stopping.wait(0.2):
                pass
