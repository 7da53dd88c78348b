"""All conditions together: whether a worker takes bulk jobs now, and if not, why."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from jobs.configuration.settings import Settings
from jobs.queue.workers.bulk_waits import BulkWait, words_of
from worker.dispatch.conditions import battery, heat, memory
from worker.dispatch.conditions.battery import LowBattery
from worker.dispatch.conditions.heat import TooHot
from worker.dispatch.conditions.hours import OutsideHours
from worker.dispatch.conditions.memory import LittleMemory
from worker.dispatch.periodic import PeriodicTasks

logger = logging.getLogger("captionq.worker")

#: Seconds between two readings of the machine: each starts a program on macOS.
READ_EVERY = 30.0


class Condition(Protocol):
    """A reason for which bulk jobs may have to wait."""

    def wait(self, now: float) -> BulkWait | None:
        """Return the wait at a time, in seconds since the epoch; None: bulk jobs may run."""
        ...


class Sources(NamedTuple):
    """Programs and files that tell the state of the machine."""

    pmset: Path
    notifyutil: Path
    sysctl: Path
    power_supplies: Path
    pressure: Path


def system_sources() -> Sources:
    """Return the system's own."""
    return Sources(battery.PMSET, heat.NOTIFYUTIL, memory.SYSCTL, battery.POWER_SUPPLIES, memory.PRESSURE)


class BulkConditions:
    """The conditions of one worker."""

    def __init__(self, settings: Settings, sources: Sources | None = None, platform: str = sys.platform) -> None:
        hours = settings.working_hours
        self._hours = None if hours is None else OutsideHours(hours)
        self._machine = conditions_of_machine(settings, sources or system_sources(), platform)
        self._waits_for_machine: list[BulkWait] = []
        self._tasks = PeriodicTasks()
        #: The reasons for which bulk jobs wait.
        self.waits: Sequence[BulkWait] = ()

    def look(self) -> None:
        """Renew the reasons, and log a change. To be called about every second; the machine is asked every `READ_EVERY`."""
        now = time.time()
        before = self.waits
        outside = None if self._hours is None else self._hours.wait(now)
        if self._machine and self._tasks.is_due("read", READ_EVERY):
            self._waits_for_machine = [wait for one in self._machine if (wait := one.wait(now)) is not None]
        self.waits = (*([outside] if outside else []), *self._waits_for_machine)
        if [wait.code for wait in self.waits] != [wait.code for wait in before]:
            logger.info("%s", f"Bulk work waits {words_of(self.waits)}." if self.waits else "Bulk work goes on.")


def conditions_of_machine(settings: Settings, sources: Sources, platform: str) -> list[Condition]:
    """Return the conditions that the settings ask for and the platform can tell."""
    mac = platform == "darwin"
    found: list[Condition] = []
    if settings.battery:
        read = partial(battery.read_pmset, sources.pmset) if mac else _of_linux(sources)
        found.append(LowBattery(settings.battery, read))
    if settings.pause_under_pressure:
        if mac:
            found.append(TooHot(sources.notifyutil))
        is_critical = (
            partial(memory.read_sysctl, sources.sysctl) if mac else partial(memory.read_pressure, sources.pressure)
        )
        found.append(LittleMemory(is_critical))
    return found


def _of_linux(sources: Sources) -> partial[battery.Charge | None]:
    return partial(battery.read_power_supplies, sources.power_supplies)
