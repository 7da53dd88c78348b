"""The rate at which a worker ends jobs, over the last minute in which any ended."""

from __future__ import annotations

import time
from collections import deque

#: Seconds over which the rate is measured.
WINDOW = 60.0


class JobRate:
    """A rate in jobs a second."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque()

    def count(self) -> None:
        """Count a job that ends now."""
        now = time.monotonic()
        self._ends.append(now)
        while self._ends[0] < now - WINDOW:
            self._ends.popleft()

    @property
    def per_second(self) -> float | None:
        """None: too few jobs have ended. While the worker is idle the last rate stays."""
        seconds = self._ends[-1] - self._ends[0] if self._ends else 0.0
        return (len(self._ends) - 1) / seconds if seconds > 0 else None
