"""How much work fits between two decode steps, by what was measured so far: whoever decodes, or arrives, waits no longer."""

from __future__ import annotations

#: Seconds that a unit of work (images to encode, prompts to prefill) may take. An answer that is being read stutters for as
#: long, and a new question waits for as long before it has its turn.
PAUSE = 0.25
#: How much of the estimate a new measurement makes up: the first ones of a process are slow.
_WEIGHT = 0.3


class TimeBudget:
    """Seconds an amount of one kind of work takes, learnt while it is done."""

    def __init__(self, first: int, largest: int) -> None:
        """`first`: the amount to begin with; `largest`: the most that is done at once, however fast."""
        self._first = first
        self._largest = largest
        self._seconds_each: float | None = None

    @property
    def amount(self) -> int:
        """How much to do at once."""
        if self._seconds_each is None:
            return min(self._first, self._largest)
        return max(1, min(self._largest, int(PAUSE / self._seconds_each)))

    def measured(self, amount: int, seconds: float) -> None:
        """Learn from what was done."""
        each = seconds / amount
        old = self._seconds_each
        self._seconds_each = each if old is None else old + _WEIGHT * (each - old)
