"""Rows that wait for their turn, and which of them go in together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from worker.engine.kv_memory import KVMemory
from worker.engine.sequences import LiveSequence

#: Rows of a group are computed as long as the longest of them: by so much more than their own length, all together.
MOST_PADDING = 1.5
#: Seconds for which the first row of a group waits for the others when nobody runs.
GROUP_WAIT = 0.1


class WaitingQueue:
    """First come, first served; urgent rows before all others, and rows that have to be alone by themselves."""

    def __init__(self, group: int, memory: KVMemory) -> None:
        """`group`: how many go in together."""
        self._group = group
        self._memory = memory
        self._rows: deque[LiveSequence] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: LiveSequence) -> None:
        """At the end."""
        self._rows.append(row)

    def put_back(self, rows: Iterable[LiveSequence]) -> None:
        """To the front, in their order."""
        self._rows.extendleft(reversed(list(rows)))

    def cancel(self, key: str) -> bool:
        """Drop a row. False: there is none of this key."""
        found = next((row for row in self._rows if row.key == key), None)
        if found is not None:
            self._rows.remove(found)
        return found is not None

    def clear(self) -> None:
        """Drop all."""
        self._rows.clear()

    @property
    def has_bulk(self) -> bool:
        """Whether there are rows that nobody waits for."""
        return any(not row.urgent for row in self._rows)

    @property
    def next_is_alone(self) -> bool:
        """Whether the next one has to be alone."""
        return bool(self._rows) and self._rows[0].alone

    def take_alone(self) -> list[LiveSequence]:
        """The next one, if it has to be alone."""
        return self._take([self._rows[0]]) if self.next_is_alone else []

    def take_urgent(self, room: int, running: Sequence[LiveSequence]) -> list[LiveSequence]:
        """Those that somebody waits for, into so many free slots beside the rows that run."""
        rows = [row for row in self._rows if row.urgent and not row.alone]
        return self._take(self._fitting(rows[: max(0, min(room, self._group))], running))

    def take_group(self, room: int, running: Sequence[LiveSequence], *, coming: bool) -> list[LiveSequence]:
        """The next group, if there is room for the whole of it. `coming`: wait for more, for long only while others run."""
        if not self._rows or self.next_is_alone:
            return []
        rows = self._alike()
        waited = time.perf_counter() - rows[0].admitted
        if room < len(rows) or (coming and len(rows) < self._group and (running or waited < GROUP_WAIT)):
            return []
        return self._take(self._fitting(rows, running))

    def _alike(self) -> list[LiveSequence]:
        """The row that waits longest, and those whose prompts are nearest to its own in length: they need the least padding."""
        oldest, *others = [row for row in self._rows if not row.alone]
        others.sort(key=lambda row: abs(len(row.prepared.ids) - len(oldest.prepared.ids)))
        return [oldest, *others[: self._group - 1]]

    def _fitting(self, rows: Sequence[LiveSequence], running: Sequence[LiveSequence]) -> list[LiveSequence]:
        """The first of them, as long as their prompts are of a length and the memory holds them."""
        group: list[LiveSequence] = []
        for row in rows:
            lengths = [len(one.prepared.ids) for one in (*group, row)]
            beside = [*running, *group, row]
            too_long = max(lengths) * len(lengths) > MOST_PADDING * sum(lengths)
            if too_long or (
                len(beside) > 1 and not self._memory.holds(len(beside), max(one.longest for one in beside))
            ):
                break
            group.append(row)
        return group

    def _take(self, rows: list[LiveSequence]) -> list[LiveSequence]:
        for row in rows:
            self._rows.remove(row)
        return rows
