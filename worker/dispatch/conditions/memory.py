"""Bulk jobs wait while the system says that its memory is critically short."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from jobs.queue.workers.bulk_waits import BulkWait
from worker.dispatch.conditions.system_programs import output_of

#: macOS' own program.
SYSCTL = Path("/usr/sbin/sysctl")
#: Linux, since 4.20: the share of time in which processes wait for memory (Documentation/accounting/psi.rst).
PRESSURE = Path("/proc/pressure/memory")

#: macOS' levels are those of its memory-pressure events: 1 normal, 2 warning, 4 critical. At 2 it compresses memory of idle
#: programs, and a Mac with many open programs is there for hours.
CRITICAL = 4
#: Percent of the last ten seconds in which all processes waited for memory.
FULL_PERCENT = 20.0


class LittleMemory:
    """Tells whether bulk jobs wait until other programs leave memory."""

    def __init__(self, is_critical: Callable[[], bool]) -> None:
        self._is_critical = is_critical

    def wait(self, now: float) -> BulkWait | None:
        """Return the wait; None: there is memory enough, or the system does not tell."""
        if not self._is_critical():
            return None
        return BulkWait("little_memory", "until more memory is free (CAPTIONQ_PAUSE_UNDER_PRESSURE)")


def read_sysctl(program: Path = SYSCTL) -> bool:
    """Read on macOS whether memory is critically short."""
    told = (output_of(program, "-n", "kern.memorystatus_vm_pressure_level") or "").strip()
    return told.isdecimal() and int(told) >= CRITICAL


def read_pressure(file: Path = PRESSURE) -> bool:
    """Read on Linux whether memory is critically short."""
    told = ""
    with suppress(OSError):  # an older kernel, or one that was built without it
        told = file.read_text()
    found = re.search(r"^full avg10=(\d+\.\d+)", told, re.MULTILINE)
    return found is not None and float(found[1]) >= FULL_PERCENT
