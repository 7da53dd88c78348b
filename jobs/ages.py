"""Points in time as people write them: an age such as `7d`, or a date."""

from __future__ import annotations

from datetime import datetime

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
#: Digits of an age: a longer one lies before the beginning of time.
_MOST_DIGITS = 6


def age_in_seconds(text: str) -> int | None:
    """Return the seconds of an age in hours, days or weeks (`12h`, `30d`, `4w`); None: the text is not an age."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS) or unit not in _SECONDS:
        return None
    return int(number) * _SECONDS[unit]


def point_in_time(text: str, now: float) -> float | None:
    """Return the seconds since the epoch for an age before `now`, or for an ISO date or time; None: the text is neither.

    A time without a zone is this machine's.
    """
    if (age := age_in_seconds(text)) is not None:
        return now - age
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
