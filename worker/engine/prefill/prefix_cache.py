"""The prefix cache: keys and values of prompts' common beginnings, such as a system prompt or an instruction before an image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from worker.engine.prefill.chunked_prefill import Prefill, Prefix
from worker.models.inputs import Embedded

#: Tokens of a prefix at least: shorter ones are not worth a copy.
SHORTEST = 4
#: Tokens of a prefix at most: at 4 billion parameters a token takes some 150 kB.
LONGEST = 1024
#: Number of prefixes kept; the least recently used is dropped first.
KEPT = 4


@dataclass(frozen=True)
class CachedPrefix:
    """A prefix of `tokens` tokens."""

    prefix: Prefix | None = None
    tokens: int = 0


class PrefixCache:
    """The common beginnings of the last prompts."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        #: The beginning of the last prompt: tokens that the next prompt shares with it are worth keeping.
        self._last: list[int] = []

    def find(self, prompts: Sequence[Embedded]) -> CachedPrefix:
        """Return the longest known beginning that all these prompts have."""
        best, tokens = None, 0
        for ids in self._known:
            common = min(_common(ids, one.ids, one.text_prefix) for one in prompts)
            if common > tokens:
                best, tokens = ids, common
        if best is None or tokens < SHORTEST:
            return CachedPrefix()
        self._known.move_to_end(best)
        return CachedPrefix(
            [(keys[:, :, :tokens], values[:, :, :tokens]) for keys, values in self._known[best]], tokens
        )

    def learn(self, prefill: Prefill) -> None:
        """Keep the beginning that the prompts of a prefill share among themselves, or a single one with the prompt before."""
        first, *others = prefill.prompts
        last = prefill.prompts[-1]
        tokens = min(_common(first.ids, one.ids, min(one.text_prefix, first.text_prefix)) for one in others or [first])
        if not others:
            tokens = _common(self._last, first.ids, first.text_prefix)
        tokens = min(tokens, LONGEST)
        self._last = list(last.ids[: last.text_prefix])
        ids = tuple(first.ids[:tokens])
        if tokens < SHORTEST or any(known[:tokens] == ids for known in self._known):
            return
        prefix = prefill.prefix(0, tokens)
        # Evaluated now: a pending copy would keep the whole caches in memory.
        mx.eval(prefix)
        self._known[ids] = prefix
        if len(self._known) > KEPT:
            self._known.popitem(last=False)


def _common(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """Return the number of equal leading ids, at most `limit`."""
    for at, (one, other) in enumerate(zip(first[:limit], second[:limit], strict=False)):
        if one != other:
            return at
    return min(len(first), len(second), limit)
