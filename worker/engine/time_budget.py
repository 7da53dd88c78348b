"""The time budget: how much work fits between two decode steps, by the speed measured so far."""

from __future__ import annotations

#: Seconds that a unit of work (images to encode, prompts to prefill) may take. A streamed answer pauses for this time at most,
#: and a new urgent request waits for this time before its turn.
PAUSE = 0.25
#: Weight of a new measurement in the estimate: the first measurements of a process are slow.
_WEIGHT = 0.3


class TimeBudget:
    """The speed of one kind of work, learnt while the work is done."""

    def __init__(self, first: int, largest: int) -> None:
        """Args:
        first: The amount to begin with.
        largest: The largest amount at once, however fast the device is.
        """
        self._first = first
        self._largest = largest
        self._seconds_each: float | None = None

    @property
    def amount(self) -> int:
        """The amount to do at once."""
        if self._seconds_each is None:
            return min(self._first, self._largest)
        return max(1, min(self._largest, int(PAUSE / self._seconds_each)))

    def measured(self, amount: int, seconds: float) -> None:
        """Learn from an amount of work and the seconds that it took."""
        each = seconds / amount
        old = self._seconds_each
        self._seconds_each = each if old is None else old + _WEIGHT * (each - old)
