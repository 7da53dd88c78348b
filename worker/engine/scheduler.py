"""The scheduler: which sequences are prefilled next, and when bulk work has to wait for decoding."""

from __future__ import annotations

from collections.abc import Sequence

from worker.engine.prefill.prefill_group import PrefillContext, PrefillGroup
from worker.engine.quarantine import Quarantine
from worker.engine.sequences import LiveSequence, SequenceState
from worker.engine.waiting_queue import WaitingQueue

#: One slot beyond the batch is reserved for urgent sequences for each `SLOTS_A_RESERVE` slots.
SLOTS_A_RESERVE = 16
#: Seconds of prefill of urgent sequences after which those that decode get a step: a token of 32 costs hardly more than one of 8,
#: and all of them are answered sooner if they decode together (docs/engine.md).
DECODE_EVERY = 0.25
#: The same before any of them has a token, while `MANY` others or more are prefilled or wait: no reader sees a pause then, and
#: the more begin together, the fewer steps it takes.
FIRST_STEP_AFTER = 4.0
MANY = 8


class Scheduler:
    """The waiting queue, and the prefill groups that have left it."""

    def __init__(self, context: PrefillContext, slots: int, group: int, quarantine: Quarantine) -> None:
        self.waiting = WaitingQueue(group, context.memory, quarantine)
        #: Prefill groups that have begun and not ended.
        self.groups: list[PrefillGroup] = []
        self._context = context
        self._slots = slots
        self._reserve = slots // SLOTS_A_RESERVE
        self._quarantine = quarantine
        #: Decode time (s) owed before the next bulk prefill.
        self._owed = 0.0
        #: Seconds of urgent prefill since the last decode step.
        self._urgent_prefill = 0.0

    @property
    def has_bulk(self) -> bool:
        """Whether sequences that are not urgent wait or are prefilled."""
        return self.waiting.has_bulk or any(not group.urgent for group in self.groups)

    def next_group(
        self, decoding: Sequence[LiveSequence], *, coming: bool, urgent_coming: bool = False
    ) -> PrefillGroup | None:
        """Return the group to prefill now; None: decode first, or nothing waits that has room.

        Urgent sequences go first, also ahead of a bulk group that is half prefilled. No sequence joins a quarantined one, and
        none overtakes it: as long as others came, the quarantined sequence would never have its turn.

        Args:
            decoding: Sequences of the batch.
            coming: More sequences will arrive soon; see `WaitingQueue.take_group`.
            urgent_coming: More urgent ones will; see `WaitingQueue.take_urgent`.
        """
        taken = [*decoding, *(sequence for group in self.groups for sequence in group.sequences)]
        if taken and (self.waiting.next_is_quarantined or any(self._quarantine.holds(one) for one in taken)):
            return next(iter(self.groups), None)
        if isolated := self.waiting.take_quarantined():
            return self._begin(isolated)
        room = self._slots - len(taken)
        group = next((group for group in self.groups if group.urgent), None)
        group = group or self._begin(self.waiting.take_urgent(room + self._reserve, taken, coming=urgent_coming))
        if group is not None:
            return group
        if self.waiting.gathers and (decoding or not self.groups):
            return None
        if self._owed and any(sequence.urgent for sequence in decoding):
            return None
        if self.groups:
            return self.groups[0]
        return self._begin(self.waiting.take_group(room, taken, coming=coming))

    def end(self, group: PrefillGroup) -> None:
        """Forget a group that is prefilled, or has failed."""
        self.groups.remove(group)

    def cancel(self, sequence: LiveSequence) -> None:
        """Remove a sequence that waits or is prefilled. The others of its group wait again, ahead of all others."""
        if sequence.state is SequenceState.WAITING:
            self.waiting.remove(sequence)
            return
        group = next(group for group in self.groups if sequence in group.sequences)
        self.groups.remove(group)
        self.waiting.put_back(other for other in group.sequences if other is not sequence)

    def clear(self) -> None:
        """Remove all sequences and groups."""
        self.waiting.clear()
        self.groups.clear()

    def decodes_beside(self, group: PrefillGroup, decoding: Sequence[LiveSequence]) -> bool:
        """Whether urgent sequences decode after a unit of this group's prefill.

        Args:
            decoding: Sequences of the batch.
        """
        if not group.urgent:
            return True
        is_read = any(sequence.tokens for sequence in decoding if sequence.urgent)
        come_many = len(group.sequences) + self.waiting.urgent >= MANY
        return self._urgent_prefill >= (FIRST_STEP_AFTER if come_many and not is_read else DECODE_EVERY)

    def prefilled(self, group: PrefillGroup, seconds: float) -> None:
        """Count the time of a unit of prefill, while urgent sequences decode.

        They are owed as much time as bulk prefill took: each gets half.
        """
        if group.urgent:
            self._urgent_prefill += seconds
        else:
            self._owed = seconds

    def decoded(self, seconds: float) -> None:
        """Count the time of a decode step."""
        self._owed = max(0.0, self._owed - seconds)
        self._urgent_prefill = 0.0

    def _begin(self, sequences: list[LiveSequence]) -> PrefillGroup | None:
        if not sequences:
            return None
        for sequence in sequences:
            sequence.state = SequenceState.PREFILLING
        self.groups.append(PrefillGroup(sequences, self._context))
        return self.groups[-1]
