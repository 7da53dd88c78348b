"""A few rows on their way into the batch: their images are encoded, then they are embedded, then prefilled together."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from jobs.errors import CaptionqError
from worker.engine.kv_memory import KVMemory
from worker.engine.prefill import Prefill, grouped
from worker.engine.prefix_cache import CachedPrefix, PrefixCache
from worker.engine.sequences import LiveSequence
from worker.engine.time_budget import PAUSE, TimeBudget
from worker.models import kv_cache
from worker.models.backends import Backend
from worker.models.inputs import Embedded
from worker.models.vision_tower import ImageFeatures

#: Patches that the vision tower gets in one pass at most: about four megapixels. More gained nothing, and takes memory.
MOST_PATCHES = 16_384
#: Tokens of a prefill chunk at most: mlx-vlm's own default.
MOST_TOKENS = 2048


class PrefillContext:
    """What all intakes of one model share: how fast it is, and the beginnings of its prompts."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.encoding = TimeBudget(first=1, largest=MOST_PATCHES)
        self.prefilling = TimeBudget(first=256, largest=MOST_TOKENS)
        self.prefixes = PrefixCache()
        self.memory = KVMemory()


@dataclass(frozen=True)
class _Unit:
    """Work that the device has been given."""

    work: Any
    pace: TimeBudget | None
    amount: int
    #: Features that are there when it is done.
    seen: ImageFeatures = field(default_factory=dict)
    since: float = field(default_factory=time.perf_counter)


class PrefillGroup:
    """Rows that go in together."""

    def __init__(self, rows: list[LiveSequence], context: PrefillContext) -> None:
        self.rows = list(rows)
        self.urgent = rows[0].urgent
        #: One for all rows that may share it, and one for each other row; none before all images are encoded.
        self.prefills: list[tuple[list[LiveSequence], Prefill]] = []
        self._context = context
        #: What the device is at, the oldest first.
        self._units: deque[_Unit] = deque()
        self._to_encode = deque(row.prepared for row in rows if context.backend.patches(row.prepared))
        #: Kept until the rows are embedded: the memory may be too small for all of them.
        self._seen: ImageFeatures = {}
        #: When the last one of those that have ended was seen to.
        self._last_end = 0.0
        self._to_embed = deque(rows)
        self._embedded: list[tuple[LiveSequence, Embedded]] = []
        #: Rows that could not be embedded, each with its own fault; they are no longer among `rows`.
        self.refused: list[tuple[LiveSequence, CaptionqError]] = []

    def step(self) -> bool:
        """Begin the next unit of work, and wait for those before it. True: there is none, the rows are prefilled.

        So the device is at work while the worker talks to its queue and its store, and also while it gathers the images of the
        next unit. Raises what went wrong in any unit.
        """
        if self._begin_next():
            self._wait(but=1)
            return False
        self._wait()
        for _, prefill in self.prefills:
            self._learn(prefill)
        return True

    def _begin_next(self) -> bool:
        """False: there is nothing left to begin."""
        if self._to_encode:
            self._encode()
            return True
        # From here on each unit goes on from the one before it.
        self._wait()
        if self._to_embed:
            self._embed()
        if not self._to_embed and not self.prefills and self._embedded:
            self._group()
        for _, prefill in self.prefills:
            if not prefill.finished:
                self._prefill(prefill)
                return True
        return bool(self._to_embed)

    def _begin(self, work: Any, pace: TimeBudget | None, amount: int, seen: ImageFeatures | None = None) -> None:
        self._units.append(_Unit(work, pace, amount, seen or {}))
        mx.async_eval(work)  # type: ignore[no-untyped-call]  # mlx's stubs leave it out

    def _wait(self, but: int = 0) -> None:
        """For all units that were begun, but for so many of the last ones."""
        while len(self._units) > but:
            unit = self._units.popleft()
            mx.eval(unit.work)
            # Not before: what could not be computed is not to be taken for an image's features.
            self._context.backend.remember(unit.seen)
            self._seen |= unit.seen
            self._measure(unit)

    def _measure(self, unit: _Unit) -> None:
        began, now = max(unit.since, self._last_end), time.perf_counter()
        # Of a unit behind which the next one was begun only the end behind another end is known: to begin one may take as long
        # as to compute it.
        known = not self._units or unit.since < self._last_end
        if unit.pace is not None and known:
            unit.pace.measured(unit.amount, now - began)
        self._last_end = now

    def _encode(self) -> None:
        """As many rows' images in one pass as the pace allows, but one row's at least."""
        backend, pace = self._context.backend, self._context.encoding
        unit = [self._to_encode.popleft()]
        patches = backend.patches(unit[0])
        while self._to_encode and patches + backend.patches(self._to_encode[0]) <= pace.amount:
            unit.append(self._to_encode.popleft())
            patches += backend.patches(unit[-1])
        if any(key in begun.seen for begun in self._units for row in unit for key in row.image_keys):
            # Questions about one image: it is encoded once.
            self._wait()
        seen = backend.encode(unit)
        # None are left where a row before it had the same image.
        self._begin(list(seen.values()), pace if seen else None, patches, seen)

    def _embed(self) -> None:
        """As many rows as a pause has time for: some families let their tower look at the images here."""
        until = time.perf_counter() + PAUSE
        while self._to_embed:
            row = self._to_embed.popleft()
            try:
                embedded = self._context.backend.embed(row.prepared, row.ids, self._seen)
                row.prepared = self._context.backend.recounted(row.prepared, embedded)
                self._embedded.append((row, embedded))
            except CaptionqError as error:
                self.rows.remove(row)
                self.refused.append((row, error))
            if time.perf_counter() >= until:
                break

    def _group(self) -> None:
        """One prefill for all rows of a kind that may share it, and one for each other row."""
        backend = self._context.backend
        self._seen = {}
        for group in grouped([embedded for _, embedded in self._embedded]):
            rows = [self._embedded[at][1] for at in group]
            shares = backend.shares_prefixes and rows[0].shareable
            known = self._context.prefixes.find(rows) if shares else CachedPrefix()
            prefill = Prefill(backend.language_model, rows, known.prefix, known.tokens)
            self.prefills.append(([self._embedded[at][0] for at in group], prefill))

    def _prefill(self, prefill: Prefill) -> None:
        pace = self._context.prefilling
        whole = self._context.backend.whole_prompts
        tokens = prefill.step(prefill.columns if whole else pace.amount // len(prefill.rows))
        # The last column by itself says little about the speed of many.
        self._begin(prefill.pending, pace if tokens > len(prefill.rows) else None, tokens)

    def _learn(self, prefill: Prefill) -> None:
        self._context.memory.measured(kv_cache.size(prefill.caches), len(prefill.rows), prefill.columns)
        if self._context.backend.shares_prefixes and prefill.rows[0].shareable:
            self._context.prefixes.learn(prefill)
