"""Ids of rows, which sort by the time at which they were made."""

from __future__ import annotations

import os
import threading
import time


class _Ids:
    """The ids that this process has made. Each sorts after the one before it, also within a millisecond."""

    _RANDOM_BITS = 40
    _STEP_BITS = 20

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        # One call for all random bits: it is a call of the system. `secrets` takes three times as long for it.
        bits = int.from_bytes(os.urandom(8), "little")
        step, random = bits >> (64 - self._STEP_BITS), bits & ((1 << self._RANDOM_BITS) - 1)
        now = (time.time_ns() // 1_000_000 << self._RANDOM_BITS) + random
        with self._lock:
            self._last = max(now, self._last + 1 + step)
            return self._last


_ids = _Ids()


def new_id(kind: str) -> str:
    """Make an id that sorts by its time: `<kind>_`, 11 hex digits of milliseconds, 10 random hex digits.

    Ids of one process sort in the order in which they were made: rows wait in the order of their ids.
    """
    return f"{kind}_{_ids.next():021x}"
