"""A few rows on their way into the batch: their images are encoded, then they are embedded, then prefilled together."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

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


@dataclass(frozen=True)
class _Unit:
    """Work that the device has been given."""

    work: Any
    pace: Pace | None
    amount: int
    since: float = field(default_factory=time.perf_counter)


class Intake:
    """Rows that go in together."""

    def __init__(self, rows: list[Row], workshop: Workshop) -> None:
        self.rows = rows
        self.prefill: Prefill | None = None
        self._begun: _Unit | None = None
        self._workshop = workshop
        self._to_encode = deque(row.prepared for row in rows if workshop.backend.patches(row.prepared))

    @property
    def urgent(self) -> bool:
        return self.rows[0].urgent

    def step(self) -> bool:
        """Wait for the unit of work that was begun last, and begin the next one. True: there is none, the rows are prefilled.

        So the device is at work while the worker talks to its queue and its store. Raises what went wrong in either unit.
        """
        self._wait()
        if self._to_encode:
            self._encode()
        elif self.prefill is None or not self.prefill.finished:
            self._prefill()
        else:
            self._learn(self.prefill)
            return True
        return False

    def _begin(self, work: Any, pace: Pace | None, amount: int) -> None:
        mx.async_eval(work)  # type: ignore[no-untyped-call]  # mlx's stubs leave it out
        self._begun = _Unit(work, pace, amount)

    def _wait(self) -> None:
        unit, self._begun = self._begun, None
        if unit is None:
            return
        try:
            mx.eval(unit.work)
        except Exception:
            # What could not be computed is not to be taken for an image's features.
            self._workshop.backend.forget()
            raise
        if unit.pace is not None:
            unit.pace.measured(unit.amount, time.perf_counter() - unit.since)

    def _encode(self) -> None:
        """As many rows' images in one pass as the pace allows, but one row's at least."""
        backend, pace = self._workshop.backend, self._workshop.encoding
        unit = [self._to_encode.popleft()]
        patches = backend.patches(unit[0])
        while self._to_encode and patches + backend.patches(self._to_encode[0]) <= pace.amount:
            unit.append(self._to_encode.popleft())
            patches += backend.patches(unit[-1])
        # None are left where a row before it had the same image.
        self._begin(backend.encode(unit), pace if patches else None, patches)

    def _prefill(self) -> None:
        if self.prefill is None:
            self.prefill = self._embed()
        pace = self._workshop.prefilling
        tokens = self.prefill.step(pace.amount // len(self.rows))
        # The last column by itself says little about the speed of many.
        self._begin(self.prefill.pending, pace if tokens > len(self.rows) else None, tokens)

    def _embed(self) -> Prefill:
        backend = self._workshop.backend
        rows = [backend.embed(row.prepared, row.ids) for row in self.rows]
        known = self._workshop.prefixes.find(rows) if backend.shares_prefixes else Known()
        return Prefill(backend.language_model, rows, known.prefix, known.tokens)

    def _learn(self, prefill: Prefill) -> None:
        self._workshop.memory.measured(caches.size(prefill.caches), prefill.columns * len(prefill.rows))
        if self._workshop.backend.shares_prefixes:
            self._workshop.prefixes.learn(prefill)
