"""Hours of the day: read from people's words, over midnight, and right when the clocks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobs.configuration.read_settings import read_settings
from jobs.configuration.settings import Settings
from jobs.configuration.working_hours import WorkingHours, parse_hours
from jobs.errors import SettingsError


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is Berlin's. In 2026 its clocks changed on 29 March (2:00 to 3:00) and on 25 October (3:00 to 2:00)."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def hours(text: str) -> WorkingHours:
    """Return the hours that a text names."""
    parsed = parse_hours(text)
    assert parsed is not None
    return parsed


def utc(text: str) -> float:
    """Return the seconds since the epoch of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def open_minutes(text: str, begin: str, days: int = 1) -> int:
    """Count the minutes of some days, from a time in UTC on, that are within the hours."""
    first = int(utc(begin))
    return sum(hours(text).include(at) for at in range(first, first + days * 86_400, 60))


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(
    ("text", "now", "begin"),
    [
        ("22-7", "2026-11-29T12:00", "2026-11-29T21:00"),
        ("22-7", "2026-11-29T20:59:59", "2026-11-29T21:00"),
        ("22-7", "2026-11-29T06:00", "2026-11-29T21:00"),  # 7:00 in Berlin is outside
        ("22:30-7,12-13", "2026-11-29T08:00:01", "2026-11-29T11:00"),
        ("22:30-7,12-13", "2026-11-29T12:00", "2026-11-29T21:30"),
        ("20-24", "2026-11-28T23:00", "2026-11-29T19:00"),
        ("0-6", "2026-11-29T05:30", "2026-11-29T23:00"),
        # Summer time begins: 2:30 does not exist, and the clock that shows 3:00 is past it.
        ("2:30-7", "2026-03-29T00:30", "2026-03-29T01:00"),
        # A span that is skipped as a whole begins on the next day.
        ("2-3", "2026-03-29T00:30", "2026-03-30T00:00"),
        ("2-3", "2026-03-28T02:00", "2026-03-30T00:00"),
        # Summer time ends: 2:30 comes twice, and the first one counts; both hours are within.
        ("2:30-7", "2026-10-24T23:00", "2026-10-25T00:30"),
        ("22-7", "2026-10-25T06:00", "2026-10-25T21:00"),
    ],
)
def test_the_next_begin_is_a_local_time(text: str, now: str, begin: str) -> None:
    """The times here are UTC."""
    assert not hours(text).include(utc(now))
    assert hours(text).next_begin(utc(now)) == utc(begin)
    assert hours(text).include(utc(begin))
    assert not hours(text).include(utc(begin) - 1)


@pytest.mark.usefixtures("_berlin")
def test_within_the_hours_nothing_is_waited_for() -> None:
    """From the first second to the last, over midnight; the last minute is not theirs."""
    for now in ("2026-11-29T21:00", "2026-11-29T23:00", "2026-11-30T05:59:59"):
        assert hours("22-7").next_begin(utc(now)) == utc(now)
    assert open_minutes("22-7", "2026-11-28T23:00") == 9 * 60
    assert open_minutes("22:30-7,12-13", "2026-11-28T23:00") == 9 * 60 + 30
    assert open_minutes("0-24", "2026-11-28T23:00") == 24 * 60
    # Hours of the clock, so the night of each change is an hour shorter or longer.
    assert open_minutes("22-7", "2026-03-28T12:00") == 8 * 60
    assert open_minutes("22-7", "2026-10-24T12:00") == 10 * 60


@pytest.mark.parametrize(
    "text", ["22", "22-7-8", "25-7", "24-7", "22-24:30", "7:60-8", "ten-eleven", "22-7,", "-7", "7-7"]
)
def test_hours_that_nobody_can_mean_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The error names the variable, also for a part of a list."""
    monkeypatch.setenv("CAPTIONQ_HOURS", text)
    with pytest.raises(SettingsError, match=r"^CAPTIONQ_HOURS: '.*' (is not|has|begins)"):
        read_settings()


def test_blank_hours_are_all_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `CAPTIONQ_HOURS= captionq caption …` takes the setting away for one command."""
    monkeypatch.setenv("CAPTIONQ_HOURS", " ")
    assert read_settings().working_hours is None
    assert Settings(hours=" 22 - 7 ").working_hours == WorkingHours(((22 * 60, 7 * 60),))
