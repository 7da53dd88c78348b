"""A few rows on their way into the batch: their images are encoded, then they are embedded, then prefilled together."""

from __future__ import annotations

import time
from collections import deque

from worker import caches
from worker.backends import Backend
from worker.memory import RowMemory
from worker.pace import Pace
from worker.prefill import Prefill
from worker.prefixes import Known, Prefixes
from worker.rows import Row

#: Patches that the vision tower gets in one pass at most: about four megapixels. More gained nothing, and takes memory.
MOST_PATCHES = 16_384
#: Tokens of a prefill chunk at most: mlx-vlm's own default.
MOST_TOKENS = 2048


class Workshop:
    """What all intakes of one model share: how fast it is, and the beginnings of its prompts."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.encoding = Pace(first=1, largest=MOST_PATCHES)
        self.prefilling = Pace(first=256, largest=MOST_TOKENS)
        self.prefixes = Prefixes()
        self.memory = RowMemory()


class Intake:
    """Rows that go in together."""

    def __init__(self, rows: list[Row], workshop: Workshop) -> None:
        self.rows = rows
        self.prefill: Prefill | None = None
        self._workshop = workshop
        self._to_encode = deque(row.prepared for row in rows if workshop.backend.patches(row.prepared))

    @property
    def urgent(self) -> bool:
        return self.rows[0].urgent

    def step(self) -> bool:
        """Do a unit of work. True: the rows are prefilled."""
        if self._to_encode:
            self._encode()
            return False
        if self.prefill is None:
            self.prefill = self._embed()
        pace = self._workshop.prefilling
        begun = time.perf_counter()
        tokens = self.prefill.step(pace.amount // len(self.rows))
        if tokens > len(self.rows):
            # The last column by itself says little about the speed of many.
            pace.measured(tokens, time.perf_counter() - begun)
        if self.prefill.finished:
            self._learn(self.prefill)
        return self.prefill.finished

    def _learn(self, prefill: Prefill) -> None:
        self._workshop.memory.measured(caches.size(prefill.caches), prefill.columns * len(prefill.rows))
        if self._workshop.backend.shares_prefixes:
            self._workshop.prefixes.learn(prefill)

    def _encode(self) -> None:
        """As many rows' images in one pass as the pace allows, but one row's at least."""
        backend, pace = self._workshop.backend, self._workshop.encoding
        unit = [self._to_encode.popleft()]
        patches = backend.patches(unit[0])
        while self._to_encode and patches + backend.patches(self._to_encode[0]) <= pace.amount:
            unit.append(self._to_encode.popleft())
            patches += backend.patches(unit[-1])
        begun = time.perf_counter()
        backend.encode(unit)
        if patches:
            # None are left where a row before it had the same image.
            pace.measured(patches, time.perf_counter() - begun)

    def _embed(self) -> Prefill:
        backend = self._workshop.backend
        rows = [backend.embed(row.prepared, row.ids) for row in self.rows]
        known = self._workshop.prefixes.find(rows) if backend.shares_prefixes else Known()
        return Prefill(backend.language_model, rows, known.prefix, known.tokens)
