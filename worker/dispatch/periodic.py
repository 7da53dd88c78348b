"""Periodic tasks: when each of a worker's recurring tasks is due."""

from __future__ import annotations

import time


class PeriodicTasks:
    """Due times by the name of the task. A task that is not known is due."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def is_due(self, task: str, every: float) -> bool:
        """Whether the task is due; if so, its next time is `every` seconds from now."""
        now = time.monotonic()
        if now < self._due.get(task, 0.0):
            return False
        self._due[task] = now + every
        return True

    def put_off(self, task: str, seconds: float) -> None:
        """Let the task be due in so many seconds from now."""
        self._due[task] = time.monotonic() + seconds
