"""Lengths of time as Ollama writes them: `30m`, `1h30m`, a number of seconds, 0, or a negative number for ever."""

from __future__ import annotations

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"
_LENGTH = re.compile(rf"(-?)((?:{_PART})+)")


def parse_idle_time(text: str) -> float:
    """Return the seconds of a length of time; infinity: for ever. Raises ValueError."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        found = _LENGTH.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text}' is not a length of time such as 30m, 1h30m, 0 or -1") from None
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, found[2]))
        seconds = -1.0 if found[1] else seconds
    if math.isnan(seconds):
        raise ValueError(f"'{text}' is not a length of time such as 30m, 1h30m, 0 or -1")
    return math.inf if seconds < 0 else seconds
