"""Heat and memory, as the systems tell them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.dispatch.conditions.heat import TooHot
from worker.dispatch.conditions.memory import LittleMemory, read_pressure, read_sysctl

#: What Linux writes; the second line is the one that counts.
PRESSURE = """\
some avg10={some} avg60=1.00 avg300=0.40 total=51423
full avg10={full} avg60=99.00 avg300=99.00 total=40123
"""


@pytest.mark.parametrize(("level", "waits"), [("0", False), ("1", False), ("2", False), ("3", True), ("4", True)])
def test_bulk_work_waits_while_a_mac_is_critically_hot(
    make_program: Callable[..., Path], level: str, waits: bool
) -> None:
    """`notifyutil` prints the name and the level."""
    name = "com.apple.system.thermalpressurelevel"
    told = make_program(f"{name} {level}\n", arguments=f"-g {name}")
    wait = TooHot(told).wait(0.0)
    assert (wait is not None and wait.code == "too_hot") == waits


def test_a_mac_that_does_not_tell_its_heat_is_not_hot(make_program: Callable[..., Path]) -> None:
    """Such as one whose program changed its words."""
    assert TooHot(make_program("3: no such notification\n")).wait(0.0) is None


@pytest.mark.parametrize(("level", "critical"), [("1", False), ("2", False), ("4", True), ("", False), ("high", False)])
def test_memory_of_a_mac_is_short_at_the_critical_level(
    make_program: Callable[..., Path], level: str, critical: bool
) -> None:
    """The level of a warning is one at which Macs with many open programs are for hours."""
    program = make_program(f"{level}\n", arguments="-n kern.memorystatus_vm_pressure_level")
    assert read_sysctl(program) == critical


@pytest.mark.parametrize(
    ("some", "full", "critical"), [("0.00", "0.00", False), ("80.00", "19.99", False), ("99.00", "20.00", True)]
)
def test_memory_on_linux_is_short_while_everything_waits_for_it(
    tmp_path: Path, some: str, full: str, critical: bool
) -> None:
    """The last ten seconds count. A kernel without the file tells nothing."""
    file = tmp_path / "memory"
    assert not read_pressure(file)
    file.write_text(PRESSURE.format(some=some, full=full))
    assert read_pressure(file) == critical
    assert (LittleMemory(lambda: critical).wait(0.0) is None) == (not critical)
