"""A prefill group: a few sequences, whose images are encoded, and which are then embedded and prefilled together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx

from jobs.errors import CaptionqError
from worker.engine.kv_memory import KVMemory
from worker.engine.prefill import prefill_chunk_size
from worker.engine.prefill.chunked_prefill import Prefill, grouped
from worker.engine.prefill.prefix_cache import CachedPrefix, PrefixCache
from worker.engine.sequences import LiveSequence
from worker.engine.stage_clock import Stage, StageClock
from worker.engine.time_budget import PAUSE, TimeBudget
from worker.models import kv_cache
from worker.models.backends import Backend
from worker.models.inputs import Embedded
from worker.models.vision.feature_memory import ImageFeatures


class PrefillContext:
    """State that all prefill groups of one model share: its speed, its prefix cache, its memory and its clock."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.encoding = TimeBudget(first=1, largest=prefill_chunk_size.MOST_PATCHES)
        self.prefilling = TimeBudget(first=prefill_chunk_size.FIRST_TOKENS, largest=prefill_chunk_size.MOST_TOKENS)
        self.prefixes = PrefixCache()
        self.memory = KVMemory()
        self.clock = StageClock()


@dataclass(frozen=True)
class _Unit:
    """A unit of work that the device has been given."""

    work: Any
    stage: Stage
    #: The number that the stage clock counts.
    counted: int
    #: The budget that learns from the time of this unit, and the unit's amount in the budget's measure.
    budget: TimeBudget | None
    amount: int
    #: Image features that this unit computes.
    seen: ImageFeatures = field(default_factory=dict)


class PrefillGroup:
    """Sequences that are prefilled together."""

    def __init__(self, sequences: list[LiveSequence], context: PrefillContext) -> None:
        self.sequences = list(sequences)
        self.urgent = sequences[0].urgent
        #: A prefill for all sequences that may share it, and one for each other sequence. Empty until all images are encoded.
        self.prefills: list[tuple[list[LiveSequence], Prefill]] = []
        #: Sequences whose prompt is also that of others: the others, by the key of the one that is prefilled for all.
        self._copies = _copies(sequences)
        leaders = [one for one in sequences if one.key in self._copies]
        #: Sequences that could not be embedded, each with its own error; they are no longer among `sequences`.
        self.refused: list[tuple[LiveSequence, CaptionqError]] = []
        self._context = context
        #: Units that the device is computing, the oldest first.
        self._units: deque[_Unit] = deque()
        self._to_encode = deque(one.prepared for one in leaders if context.backend.patches(one.prepared))
        #: Image features, kept until the sequences are embedded: the cache of features may be too small for all of them.
        self._seen: ImageFeatures = {}
        #: The amount of the units that have ended since the device had none, and since when it has had some.
        self._amount, self._since = 0, 0.0
        self._to_embed = deque(leaders)
        self._embedded: list[tuple[LiveSequence, Embedded]] = []

    def step(self) -> bool:
        """Begin the next unit of work, and wait for the units before that one. Return True when the sequences are prefilled.

        So the device is at work while the worker talks to its queue and its store, and also while it gathers the images of the
        next unit. Raises the error of any unit.
        """
        if self._begin_next():
            self._wait(leave=1)
            return False
        self._wait()
        for _, prefill in self.prefills:
            self._learn(prefill)
        return True

    def sharing(self, leaders: Sequence[LiveSequence]) -> tuple[list[LiveSequence], list[int]]:
        """Return all sequences of a prefill, and for each the row of its prompt.

        Args:
            leaders: the sequences of the prefill's rows.
        """
        shared = [(one, row) for row, leader in enumerate(leaders) for one in (leader, *self._copies[leader.key])]
        return [one for one, _ in shared], [row for _, row in shared]

    def _begin_next(self) -> bool:
        """Begin the next unit. Return False if there is none."""
        if self._to_encode:
            self._encode()
            return True
        # From here on each unit builds on the unit before.
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

    def _begin(self, unit: _Unit) -> None:
        """Give the device a unit. On a CPU that may take as long as to compute the unit before."""
        if not self._units:
            self._amount, self._since = 0, time.perf_counter()
        self._units.append(unit)
        mx.async_eval(unit.work)  # type: ignore[no-untyped-call]  # mlx's stubs leave it out

    def _wait(self, leave: int = 0) -> None:
        """Wait for all units but the last `leave`."""
        while len(self._units) > leave:
            unit = self._units.popleft()
            mx.eval(unit.work)
            # Only now: features whose computation failed must not be remembered as an image's.
            self._context.backend.remember(unit.seen)
            self._seen |= unit.seen
            self._measure(unit)
            self._context.clock.ended(unit.stage, unit.counted)

    def _measure(self, unit: _Unit) -> None:
        """Learn from all units since the device had none. The end of each by itself may be noticed late: see `_begin`."""
        self._amount += unit.amount
        if not self._units and unit.budget is not None and self._amount:
            unit.budget.measured(self._amount, time.perf_counter() - self._since)

    def _encode(self) -> None:
        """Begin to encode the images of as many sequences as the budget allows, but of one sequence at least."""
        backend, budget = self._context.backend, self._context.encoding
        unit = [self._to_encode.popleft()]
        patches = backend.patches(unit[0])
        while self._to_encode and patches + backend.patches(self._to_encode[0]) <= budget.amount:
            unit.append(self._to_encode.popleft())
            patches += backend.patches(unit[-1])
        if any(key in begun.seen for begun in self._units for prepared in unit for key in prepared.image_keys):
            # Several questions about one image: the image is encoded once.
            self._wait()
        seen = backend.encode(unit)
        # Empty if earlier sequences had the same images.
        self._begin(_Unit(list(seen.values()), Stage.VISION, len(seen), budget, patches if seen else 0, seen))

    def _embed(self) -> None:
        """Embed as many sequences as a pause has time for: some families run their vision tower here."""
        until = time.perf_counter() + PAUSE
        while self._to_embed:
            sequence = self._to_embed.popleft()
            encoded = self._context.backend.images_encoded
            try:
                embedded = self._context.backend.embed(sequence.prepared, sequence.ids, self._seen)
                for one in (sequence, *self._copies[sequence.key]):
                    one.prepared = self._context.backend.recounted(one.prepared, embedded)
                self._embedded.append((sequence, embedded))
            except CaptionqError as error:
                for one in (sequence, *self._copies[sequence.key]):
                    self.sequences.remove(one)
                    self.refused.append((one, error))
            encoded = self._context.backend.images_encoded - encoded
            self._context.clock.ended(Stage.VISION if encoded else Stage.PREFILL, encoded, units=bool(encoded))
            if time.perf_counter() >= until:
                break

    def _group(self) -> None:
        """Make a prefill for all sequences of a kind that may share it, and one for each other sequence."""
        backend = self._context.backend
        self._seen = {}
        for places in grouped([embedded for _, embedded in self._embedded]):
            prompts = [self._embedded[at][1] for at in places]
            shares = backend.shares_prefixes and prompts[0].shareable
            known = self._context.prefixes.find(prompts) if shares else CachedPrefix()
            prefill = Prefill(backend.language_model, prompts, known.prefix, known.tokens)
            self.prefills.append(([self._embedded[at][0] for at in places], prefill))

    def _prefill(self, prefill: Prefill) -> None:
        budget, prompts = self._context.prefilling, len(prefill.prompts)
        whole = self._context.backend.whole_prompts
        tokens = prefill.step(prefill.columns if whole else budget.amount // prompts)
        # The last column by itself says little about the speed of many.
        self._begin(_Unit(prefill.pending, Stage.PREFILL, tokens, budget if tokens > prompts else None, tokens))

    def _learn(self, prefill: Prefill) -> None:
        self._context.memory.measured(kv_cache.size(prefill.caches), len(prefill.prompts), prefill.columns)
        if self._context.backend.shares_prefixes and prefill.prompts[0].shareable:
            self._context.prefixes.learn(prefill)


def _copies(sequences: Sequence[LiveSequence]) -> dict[str, list[LiveSequence]]:
    """Return the sequences that are prefilled, by key, each with those that have the very same prompt: choices of one request."""
    leaders: dict[tuple[int, tuple[int, ...]], str] = {}
    copies: dict[str, list[LiveSequence]] = {}
    for one in sequences:
        leader = leaders.setdefault((id(one.prepared.ids), tuple(one.ids)), one.key)
        if leader == one.key:
            copies[one.key] = []
        else:
            copies[leader].append(one)
    return copies
