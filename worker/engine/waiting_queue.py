"""The waiting queue: sequences that are not prefilled yet, and which of them fit into one prefill group."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from worker.engine.kv_memory import KVMemory
from worker.engine.quarantine import Quarantine
from worker.engine.sequences import LiveSequence, SequenceState

#: Padding of a group at most: all prompts, padded to the longest, may have this many times the tokens that they have unpadded.
MOST_PADDING = 1.5
#: Seconds for which the first sequence of a group waits for others while no sequence runs.
GROUP_WAIT = 0.1
#: Seconds for which the first sequence of a group waits at most for others, and for room for all of them. Urgent sequences that
#: come without end are always running and always coming, and would hold up a group that does not fill for ever.
LONGEST_WAIT = 5.0
#: Seconds for which urgent sequences that could be prefilled wait for others, to be prefilled together (docs/engine.md).
URGENT_WAIT = 0.25


class WaitingQueue:
    """Sequences in the order of their arrival. Urgent ones are taken first, quarantined ones by themselves."""

    def __init__(self, group: int, memory: KVMemory, quarantine: Quarantine) -> None:
        """Args:
        group: Sequences of a prefill group at most.
        """
        self._group = group
        self._memory = memory
        self._quarantine = quarantine
        self._sequences: deque[LiveSequence] = deque()
        #: Time since which urgent sequences wait for others; None: they do not.
        self._gathering_since: float | None = None

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, sequence: LiveSequence) -> None:
        """Append a sequence."""
        sequence.state = SequenceState.WAITING
        self._sequences.append(sequence)

    def put_back(self, sequences: Iterable[LiveSequence]) -> None:
        """Insert the sequences at the front, in their order."""
        for sequence in reversed(list(sequences)):
            sequence.state = SequenceState.WAITING
            self._sequences.appendleft(sequence)

    def remove(self, sequence: LiveSequence) -> None:
        """Remove a sequence."""
        self._sequences.remove(sequence)

    def clear(self) -> None:
        """Remove all sequences."""
        self._sequences.clear()
        self._gathering_since = None

    @property
    def has_bulk(self) -> bool:
        """Whether a sequence waits that is not urgent."""
        return any(not sequence.urgent for sequence in self._sequences)

    @property
    def urgent(self) -> int:
        """Number of urgent sequences that wait."""
        return sum(sequence.urgent for sequence in self._sequences)

    @property
    def next_is_quarantined(self) -> bool:
        """Whether the first sequence must run by itself."""
        return bool(self._sequences) and self._quarantine.holds(self._sequences[0])

    def take_quarantined(self) -> list[LiveSequence]:
        """Take the first sequence, if it must run by itself."""
        return self._take([self._sequences[0]]) if self.next_is_quarantined else []

    @property
    def gathers(self) -> bool:
        """Whether urgent sequences that have room wait for others."""
        return self._gathering_since is not None

    def take_urgent(self, room: int, taken: Sequence[LiveSequence], *, coming: bool) -> list[LiveSequence]:
        """Take urgent sequences for `room` free slots, beside the sequences that are `taken` already.

        Args:
            coming: More urgent sequences will arrive soon. A group that is not full waits for them, or for room for those that
                are here, for `URGENT_WAIT`.
        """
        urgent = [one for one in self._sequences if one.urgent and not self._quarantine.holds(one)]
        group = urgent[: max(0, min(room, self._group))]
        more = coming or len(urgent) > len(group)
        if group and more and len(group) < self._group and self._may_gather():
            return []
        self._gathering_since = None
        return self._take(self._fitting(group, taken))

    def take_group(self, room: int, taken: Sequence[LiveSequence], *, coming: bool) -> list[LiveSequence]:
        """Take the next group, if the whole of it has room. After `LONGEST_WAIT` it takes the room that is left.

        Args:
            room: Free slots.
            taken: Sequences that are prefilled or decode.
            coming: More sequences will arrive soon. A group that is not full waits for them: as long as others run, else for
                `GROUP_WAIT`.
        """
        if not self._sequences or self.next_is_quarantined:
            return []
        group = self._alike()
        waited = time.perf_counter() - group[0].admitted
        if waited >= LONGEST_WAIT:
            group = group[: max(0, room)]
        elif room < len(group) or (coming and len(group) < self._group and (taken or waited < GROUP_WAIT)):
            return []
        return self._take(self._fitting(group, taken))

    def _alike(self) -> list[LiveSequence]:
        """Return the sequence that waits longest, and those whose prompts are nearest in length: they need the least padding."""
        oldest, *others = [one for one in self._sequences if not self._quarantine.holds(one)]
        others.sort(key=lambda one: abs(len(one.prepared.ids) - len(oldest.prepared.ids)))
        return [oldest, *others[: self._group - 1]]

    def _fitting(self, sequences: Sequence[LiveSequence], taken: Sequence[LiveSequence]) -> list[LiveSequence]:
        """Return the leading sequences whose prompts are of similar length and which the memory holds beside the others."""
        group: list[LiveSequence] = []
        for sequence in sequences:
            lengths = [len(one.prepared.ids) for one in (*group, sequence)]
            together = [*taken, *group, sequence]
            too_long = max(lengths) * len(lengths) > MOST_PADDING * sum(lengths)
            longest = max(one.longest for one in together)
            if too_long or (len(together) > 1 and not self._memory.holds(len(together), longest)):
                break
            group.append(sequence)
        return group

    def _may_gather(self) -> bool:
        now = time.perf_counter()
        if self._gathering_since is None:
            self._gathering_since = now
        return now - self._gathering_since < URGENT_WAIT

    def _take(self, sequences: list[LiveSequence]) -> list[LiveSequence]:
        for sequence in sequences:
            self._sequences.remove(sequence)
        return sequences
