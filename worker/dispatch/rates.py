"""How fast the worker is, over the last minute in which it did something."""

from __future__ import annotations

import time
from collections import deque

#: Seconds.
WINDOW = 60.0


class Rate:
    """Ends of jobs a second."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque()

    def count(self) -> None:
        """A job has ended."""
        now = time.monotonic()
        self._ends.append(now)
        while self._ends[0] < now - WINDOW:
            self._ends.popleft()

    @property
    def per_second(self) -> float | None:
        """None: too few have ended to tell. What was measured last stays true while there is nothing to do."""
        seconds = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / seconds if seconds > 0 else None
