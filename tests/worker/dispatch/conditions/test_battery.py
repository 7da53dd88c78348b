"""The battery: macOS' program and Linux' files, as they tell it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.dispatch.conditions.battery import Charge, LowBattery, read_pmset, read_power_supplies

#: Lines of `pmset -g batt`: a MacBook, one that charges, a Mac mini with a UPS, one without.
ON_BATTERY = """\
Now drawing from 'Battery Power'
 -InternalBattery-0 (id=22806627)\t39%; discharging; 5:05 remaining present: true
"""
CHARGING = """\
Now drawing from 'AC Power'
 -InternalBattery-0 (id=22806627)\t12%; charging; 1:02 remaining present: true
"""
NO_ESTIMATE = """\
Now drawing from 'Battery Power'
 -InternalBattery-0 (id=4653155)\t100%; discharging; (no estimate) present: true
"""
ON_UPS = """\
Now drawing from 'UPS Power'
 -Back-UPS ES 700G (id=100)\t64%; discharging; 0:15 remaining present: true
"""
NO_BATTERY = "Now drawing from 'AC Power'\n"


@pytest.mark.parametrize(
    ("told", "charge"),
    [
        (ON_BATTERY, Charge(39, in_use=True)),
        (CHARGING, Charge(12, in_use=False)),
        (NO_ESTIMATE, Charge(100, in_use=True)),
        (ON_UPS, Charge(64, in_use=True)),
        (NO_BATTERY, None),
        ("", None),
    ],
)
def test_pmset_is_read(make_program: Callable[..., Path], told: str, charge: Charge | None) -> None:
    """The program is given `-g batt`."""
    assert read_pmset(make_program(told, arguments="-g batt")) == charge


def test_a_program_that_is_missing_or_fails_tells_nothing(
    make_program: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and bulk work goes on."""
    failing = make_program(ON_BATTERY, status=1)
    for program in (failing, failing, tmp_path / "missing"):
        assert read_pmset(program) is None
    assert len(caplog.records) == 2


@pytest.fixture
def supplies(tmp_path: Path) -> Callable[..., None]:
    """A function that makes a folder of attributes in place of `/sys/class/power_supply`."""

    def make(name: str, **attributes: str) -> None:
        (tmp_path / "power" / name).mkdir(parents=True, exist_ok=True)
        for attribute, value in attributes.items():
            (tmp_path / "power" / name / attribute).write_text(f"{value}\n")

    return make


def test_a_laptop_with_linux_is_read(supplies: Callable[..., None], tmp_path: Path) -> None:
    """A mouse's battery is none of the machine's, and a charger that is plugged in is power."""
    folder = tmp_path / "power"
    assert read_power_supplies(folder) is None
    supplies("hidpp_battery_0", type="Battery", scope="Device", capacity="5", status="Discharging")
    supplies("AC", type="Mains", online="0")
    assert read_power_supplies(folder) is None
    supplies("BAT0", type="Battery", capacity="30", status="Discharging")
    assert read_power_supplies(folder) == Charge(30, in_use=True)
    supplies("BAT1", type="Battery", capacity="51", status="Unknown")
    assert read_power_supplies(folder) == Charge(40, in_use=True)
    supplies("ucsi-source-psy-1", type="USB", online="1")
    assert read_power_supplies(folder) == Charge(40, in_use=False)
    # A battery that does not tell its charge.
    supplies("BAT0", capacity="")
    supplies("BAT1", capacity="")
    assert read_power_supplies(folder) is None


@pytest.mark.parametrize(
    ("charge", "waits"),
    [
        (Charge(39, in_use=True), True),
        (Charge(40, in_use=True), False),
        (Charge(5, in_use=False), False),
        (None, False),
    ],
)
def test_bulk_work_waits_below_the_level_and_without_power(charge: Charge | None, waits: bool) -> None:
    """The level is 40 percent; the reason names the charge and the setting."""
    wait = LowBattery(40, lambda: charge).wait(0.0)
    assert (wait is not None) == waits
    if wait is not None:
        assert wait == ("low_battery", "for power: the battery is at 39 % (CAPTIONQ_BATTERY)", None)
