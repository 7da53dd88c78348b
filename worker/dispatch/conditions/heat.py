"""Bulk jobs wait while macOS says that the machine is critically hot.

The level is the one of `OSThermalNotification.h` in macOS' SDK. A GPU at work may reach `heavy` (2) within a minute, and goes
on nearly as fast; `trapping` (3) is the last level before the machine sleeps. Linux has no such level: its drivers slow the
processor down by themselves.
"""

from __future__ import annotations

import re
from pathlib import Path

from jobs.queue.workers.bulk_waits import BulkWait
from worker.dispatch.conditions.system_programs import output_of

#: macOS' own program: reads the state of a notification.
NOTIFYUTIL = Path("/usr/bin/notifyutil")
_LEVEL_NAME = "com.apple.system.thermalpressurelevel"
#: kOSThermalPressureLevelTrapping; kOSThermalPressureLevelSleeping is above.
TRAPPING = 3


class TooHot:
    """Tells whether bulk jobs wait until the machine has cooled down."""

    def __init__(self, program: Path = NOTIFYUTIL) -> None:
        self._program = program

    def wait(self, now: float) -> BulkWait | None:
        """Return the wait; None: the machine is not too hot, or does not tell."""
        told = output_of(self._program, "-g", _LEVEL_NAME) or ""
        found = re.search(rf"{re.escape(_LEVEL_NAME)} (\d+)", told)
        if found is None or int(found[1]) < TRAPPING:
            return None
        return BulkWait("too_hot", "until the machine has cooled down (CAPTIONQ_PAUSE_UNDER_PRESSURE)")
