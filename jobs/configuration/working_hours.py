"""Hours of the day in which bulk work runs: `22-7`, or several such as `22:30-7,12-13`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_HOURS = re.compile(r"\s*(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?\s*")
_MINUTES_A_DAY = 24 * 60
#: Seconds within which hours begin again: a day, one more if its hours are those that a change to summer time skips, and an hour
#: for the change back.
_LONGEST_PAUSE = 49 * 3600


@dataclass(frozen=True)
class WorkingHours:
    """Hours in the machine's local time, each from its beginning up to its end."""

    #: Minutes of the day: begin and end. An end that is not after its begin is the next day's.
    spans: tuple[tuple[int, int], ...]

    def include(self, at: float) -> bool:
        """Whether a time, in seconds since the epoch, is within the hours."""
        local = time.localtime(at)
        minute = local.tm_hour * 60 + local.tm_min
        return any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self.spans
        )

    def next_begin(self, now: float) -> float:
        """Return the seconds since the epoch at which the hours begin, or `now` if it is within them.

        Clocks change by whole minutes, so each minute is asked; that takes 10 ms at most.
        """
        if self.include(now):
            return now
        minute = int(now) // 60 * 60 + 60
        return float(next(at for at in range(minute, minute + _LONGEST_PAUSE, 60) if self.include(at)))


def parse_hours(text: str) -> WorkingHours | None:
    """Read hours as people write them; None: the text is blank, and all hours are meant. Raises ValueError."""
    if not text.strip():
        return None
    return WorkingHours(tuple(_span(one) for one in text.split(",")))


def _span(text: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text.strip()}' is not a span of hours such as 22-7 or 22:30-7")
    begin, end = (int(hour) * 60 + int(minute or 0) for hour, minute in (found.group(1, 2), found.group(3, 4)))
    if begin >= _MINUTES_A_DAY or end > _MINUTES_A_DAY or any(int(minute or 0) > 59 for minute in found.group(2, 4)):
        raise ValueError(f"'{text.strip()}' has a time that no day has")
    if begin == end:
        raise ValueError(f"'{text.strip()}' begins and ends at the same time; leave the setting out for all hours")
    return begin, end
