"""All conditions together, on both platforms."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from tests.worker.dispatch.conditions.test_battery import CHARGING, ON_BATTERY
from worker.dispatch.conditions import bulk_conditions
from worker.dispatch.conditions.bulk_conditions import BulkConditions, conditions_of_machine, system_sources


def hours_without_now() -> str:
    """Return hours that begin in about two hours."""
    hour = time.localtime().tm_hour
    return f"{(hour + 2) % 24}-{(hour + 3) % 24}"


def test_all_reasons_of_a_mac_are_told_and_end_one_by_one(
    settings: Settings,
    make_program: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each change is logged once, by its reason."""
    caplog.set_level(logging.INFO, "captionq.worker")
    monkeypatch.setattr(bulk_conditions, "READ_EVERY", 0.0)
    sources = system_sources()._replace(
        pmset=make_program(ON_BATTERY, name="pmset"),
        notifyutil=make_program("com.apple.system.thermalpressurelevel 3\n", name="notifyutil"),
        sysctl=make_program("4\n", name="sysctl"),
    )
    wished = settings.model_copy(update={"hours": hours_without_now(), "battery": 40})
    conditions = BulkConditions(wished, sources, "darwin")
    conditions.look()
    conditions.look()
    assert [wait.code for wait in conditions.waits] == ["outside_hours", "low_battery", "too_hot", "little_memory"]
    assert conditions.waits[0].until is not None
    assert len(caplog.records) == 1
    begin = time.strftime("%H:%M", time.localtime(conditions.waits[0].until))
    assert caplog.messages[0].startswith(
        f"Bulk work waits until {begin} (CAPTIONQ_HOURS) and for power: the battery is at 39 %"
    )
    make_program(CHARGING, name="pmset")
    make_program("1\n", name="sysctl")
    conditions.look()
    assert [wait.code for wait in conditions.waits] == ["outside_hours", "too_hot"]
    assert len(caplog.records) == 2


def test_the_machine_is_asked_rarely(
    settings: Settings, make_program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question starts a program on macOS."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    sources = system_sources()._replace(
        pmset=make_program(ON_BATTERY), notifyutil=Path("/missing"), sysctl=Path("/missing")
    )
    conditions = BulkConditions(settings.model_copy(update={"battery": 40}), sources, "darwin")
    conditions.look()
    make_program(CHARGING)
    clock[0] += 29.0
    conditions.look()
    assert [wait.code for wait in conditions.waits] == ["low_battery"]
    clock[0] += 1.0
    conditions.look()
    assert conditions.waits == ()


@pytest.mark.parametrize(("platform", "count"), [("darwin", 3), ("linux", 2)])
def test_only_what_is_asked_for_is_read(settings: Settings, platform: str, count: int) -> None:
    """Without a level the battery is not looked at, and Linux has no level of heat."""
    wished = settings.model_copy(update={"battery": 40})
    assert len(conditions_of_machine(wished, system_sources(), platform)) == count
    assert len(conditions_of_machine(settings, system_sources(), platform)) == count - 1
    assert (
        conditions_of_machine(settings.model_copy(update={"pause_under_pressure": False}), system_sources(), platform)
        == []
    )
