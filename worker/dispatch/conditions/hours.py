"""Bulk jobs wait outside of the hours that a person set."""

from __future__ import annotations

import time

from jobs.configuration.working_hours import WorkingHours
from jobs.queue.workers.bulk_waits import BulkWait


class OutsideHours:
    """Tells whether bulk jobs wait for their hours."""

    def __init__(self, hours: WorkingHours) -> None:
        self._hours = hours
        #: When the hours begin that are waited for.
        self._begin = 0.0

    def wait(self, now: float) -> BulkWait | None:
        """Return the wait at a time, in seconds since the epoch; None: it is within the hours."""
        if self._hours.include(now):
            return None
        # The clock or its zone may have been set since.
        if now >= self._begin or not self._hours.include(self._begin):
            self._begin = self._hours.next_begin(now)
        begin = time.strftime("%H:%M", time.localtime(self._begin))
        return BulkWait("outside_hours", f"until {begin} (CAPTIONQ_HOURS)", self._begin)
