"""Bulk jobs wait while the machine runs on a battery whose charge is low."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from jobs.queue.workers.bulk_waits import BulkWait
from worker.dispatch.conditions.system_programs import output_of

#: macOS' own program: its `-g batt` names the source of power, and a battery a line.
PMSET = Path("/usr/bin/pmset")
#: Linux: a folder for each battery and each supply, described in Documentation/ABI/testing/sysfs-class-power.
POWER_SUPPLIES = Path("/sys/class/power_supply")

_SOURCE = re.compile(r"Now drawing from '([^']*)'")
_CHARGE = re.compile(r"\b(\d{1,3})%;")


class Charge(NamedTuple):
    """The charge of a machine's batteries."""

    percent: int
    #: Whether the machine runs on them.
    in_use: bool


class LowBattery:
    """Tells whether bulk jobs wait for power."""

    def __init__(self, level: int, read: Callable[[], Charge | None]) -> None:
        """`level`: charge in percent from which on bulk jobs run on the battery. `read` returns None without a battery."""
        self._level = level
        self._read = read

    def wait(self, now: float) -> BulkWait | None:
        """Return the wait; None: there is power enough, or no battery."""
        charge = self._read()
        if charge is None or not charge.in_use or charge.percent >= self._level:
            return None
        return BulkWait("low_battery", f"for power: the battery is at {charge.percent} % (CAPTIONQ_BATTERY)")


def read_pmset(program: Path = PMSET) -> Charge | None:
    """Read the charge on macOS; None: there is no battery, or nothing is told. Of several, such as a UPS, the lowest."""
    told = output_of(program, "-g", "batt") or ""
    source, charges = _SOURCE.search(told), [int(percent) for percent in _CHARGE.findall(told)]
    if source is None or not charges:
        return None
    return Charge(min(charges), in_use=source[1] != "AC Power")


def read_power_supplies(folder: Path = POWER_SUPPLIES) -> Charge | None:
    """Read the charge on Linux; None: there is no battery that powers the machine. Of several, their mean."""
    supplies = sorted(folder.iterdir()) if folder.is_dir() else []
    batteries = [one for one in supplies if _value(one, "type") == "Battery" and _value(one, "scope") != "Device"]
    charges = [int(told) for one in batteries if (told := _value(one, "capacity")).isdecimal()]
    if not charges:
        return None
    plugged = any(_value(one, "online") == "1" for one in supplies if one not in batteries)
    discharges = any(_value(one, "status") == "Discharging" for one in batteries)
    return Charge(round(mean(charges)), in_use=discharges and not plugged)


def _value(supply: Path, name: str) -> str:
    """Return an attribute of a supply; empty: the supply has none, or was just pulled out."""
    with suppress(OSError):
        return (supply / name).read_text().strip()
    return ""
