"""The sequences of an engine: those that have not ended, and the outcomes that its next step returns."""

from __future__ import annotations

from worker.engine.quarantine import Quarantine
from worker.engine.sequences import LiveSequence, Outcome, SequenceState


class LiveSequences:
    """Sequences by their keys, in the order of their admission."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._live: dict[str, LiveSequence] = {}
        #: Outcomes that `collect` returns. Some come between two steps: a cancelled sequence may break the batch.
        self.ended: list[Outcome] = []

    def __len__(self) -> int:
        return len(self._live)

    def __getitem__(self, key: str) -> LiveSequence:
        return self._live[key]

    @property
    def decoding(self) -> list[LiveSequence]:
        """The sequences of the batch."""
        return [one for one in self._live.values() if one.state is SequenceState.DECODING]

    @property
    def decodes_urgent(self) -> bool:
        """Whether an urgent sequence decodes."""
        return any(sequence.urgent for sequence in self.decoding)

    @property
    def any_taken(self) -> bool:
        """Whether a sequence is prefilled or decodes."""
        return any(sequence.state is not SequenceState.WAITING for sequence in self._live.values())

    def add(self, sequence: LiveSequence) -> None:
        """Add a new sequence."""
        self._live[sequence.key] = sequence

    def end(self, outcome: Outcome) -> None:
        """Replace a sequence by its outcome."""
        self.remove(outcome.key)
        self.ended.append(outcome)

    def remove(self, key: str) -> LiveSequence | None:
        """Forget a sequence and return it; None: there is none with this key."""
        self._quarantine.forget(key)
        return self._live.pop(key, None)

    def remove_ended(self, key: str) -> bool:
        """Drop an outcome that has not been collected. Return False if there is none with this key."""
        before = len(self.ended)
        self.ended = [outcome for outcome in self.ended if outcome.key != key]
        return len(self.ended) < before

    def collect(self) -> list[Outcome]:
        """Return the outcomes since the last call."""
        ended, self.ended = self.ended, []
        return ended

    def clear(self) -> None:
        """Forget all sequences that have not ended."""
        self._live.clear()
        self._quarantine.clear()
