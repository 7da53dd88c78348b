"""The completion window of a batch, such as `24h`: its deadline."""

from __future__ import annotations

import re

from jobs.errors import InvalidRequestError

_WINDOW = re.compile(r"(\d{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def window_seconds(window: str) -> float:
    """Return the seconds of a window. Raises InvalidRequestError."""
    found = _WINDOW.fullmatch(window.strip().lower())
    if found is None or int(found[1]) == 0:
        raise InvalidRequestError("completion_window must be a time such as 24h, 7d or 30m.")
    return float(int(found[1]) * _SECONDS[found[2]])
