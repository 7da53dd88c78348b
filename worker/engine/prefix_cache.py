"""The keys and values of prompts' common beginnings: a system prompt, or an instruction that stands before its image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from worker.engine.prefill import Prefill, Prefix
from worker.models.inputs import Embedded

#: Shorter ones are not worth a copy.
SHORTEST = 4
#: Longer ones are cut: at 4 billion parameters a token takes some 150 kB.
LONGEST = 1024
#: How many are kept, the least recently used one forgotten first.
KEPT = 4


@dataclass(frozen=True)
class CachedPrefix:
    """A prefix of `tokens` tokens."""

    prefix: Prefix | None = None
    tokens: int = 0


class PrefixCache:
    """What the last prompts had in common."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        #: The beginning of the last row: what the next one shares with it is worth keeping.
        self._last: list[int] = []

    def find(self, rows: Sequence[Embedded]) -> CachedPrefix:
        """The longest known beginning of all these rows."""
        best, tokens = None, 0
        for ids in self._known:
            common = min(_common(ids, row.ids, row.text_prefix) for row in rows)
            if common > tokens:
                best, tokens = ids, common
        if best is None or tokens < SHORTEST:
            return CachedPrefix()
        self._known.move_to_end(best)
        return CachedPrefix(
            [(keys[:, :, :tokens], values[:, :, :tokens]) for keys, values in self._known[best]], tokens
        )

    def learn(self, prefill: Prefill) -> None:
        """Keep the beginning that these rows share among themselves, or with the row before them."""
        rows = prefill.rows
        first = rows[0]
        tokens = min(_common(first.ids, row.ids, min(row.text_prefix, first.text_prefix)) for row in rows[1:] or rows)
        if len(rows) == 1:
            tokens = _common(self._last, first.ids, first.text_prefix)
        tokens = min(tokens, LONGEST)
        self._last = list(rows[-1].ids[: rows[-1].text_prefix])
        ids = tuple(first.ids[:tokens])
        if tokens < SHORTEST or any(known[:tokens] == ids for known in self._known):
            return
        prefix = prefill.prefix(0, tokens)
        # Now: what is put off would hold the whole of the caches.
        mx.eval(prefix)
        self._known[ids] = prefix
        if len(self._known) > KEPT:
            self._known.popitem(last=False)


def _common(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """How many leading ids are the same, up to `limit`."""
    for at, (one, other) in enumerate(zip(first[:limit], second[:limit], strict=False)):
        if one != other:
            return at
    return min(len(first), len(second), limit)
