"""Isolation after a fault: sequences of a broken prefill group or decode step run by themselves until they have proved sound.

The engine cannot see which sequence of a broken group is the culprit. By itself the culprit fails, and the others come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from worker.engine.sequences import LiveSequence


class Quarantine:
    """The sequences that must run by themselves, and how long each must."""

    def __init__(self) -> None:
        #: Faults of each sequence so far: groups and steps that broke with the sequence in them.
        self._faults: Counter[str] = Counter()
        #: Generated tokens at which a quarantined sequence may join the others again.
        self._until: dict[str, int] = {}

    def holds(self, sequence: LiveSequence) -> bool:
        """Whether the sequence must run by itself."""
        return sequence.key in self._until

    def isolate(self, sequences: Sequence[LiveSequence], tokens: int) -> None:
        """Quarantine the sequences of a fault for their next `tokens` tokens; after a second fault, until they end."""
        for sequence in sequences:
            self._faults[sequence.key] += 1
            first = self._faults[sequence.key] == 1
            limit = sequence.prepared.sampling.max_tokens
            self._until[sequence.key] = len(sequence.tokens) + tokens if first else limit

    def release(self, sequences: Sequence[LiveSequence]) -> list[LiveSequence]:
        """Release those of the sequences that have proved sound, and return them."""
        sound = [one for one in sequences if self.holds(one) and len(one.tokens) >= self._until[one.key]]
        for sequence in sound:
            del self._until[sequence.key]
        return sound

    def forget(self, key: str) -> None:
        """Drop all that is known of a sequence that has ended."""
        self._faults.pop(key, None)
        self._until.pop(key, None)

    def clear(self) -> None:
        """Drop all that is known."""
        self._faults.clear()
        self._until.clear()
