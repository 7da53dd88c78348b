"""The ways to batch sequences that the batching check tries: together, one by one, and each by itself.

Each way decodes the tokens of the references, and returns the logits at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.models.batching_verdicts import Batching
from worker.engine.decode_batch import decoded
from worker.engine.kv_memory import KVMemory
from worker.engine.prefill.chunked_prefill import Prefill, grouped
from worker.models import kv_cache
from worker.models.backends import Backend
from worker.models.inputs import Embedded, Prepared
from worker.models.kv_cache import Caches
from worker.models.reference import Logits, Reference

#: Tokens that the first half of the sequences decodes before the others join, and tokens that all decode then.
_BEFORE, _WITH_ALL = 2, 3
#: Tokens of a reference: the two above, one in a full batch, and the one after the prompt.
TOKENS = _BEFORE + _WITH_ALL + 2

#: A sequence's place, the number of its reference's tokens it was given, and the logits (V,) after them.
Step = tuple[int, int, Logits]
#: A way to compute the sequences.
Way = Callable[[], list[Step]]
#: Places of sequences, and the prefill that they share.
_Prefilled = tuple[list[int], Prefill]


def ways_to_batch(
    backend: Backend, prompts: Sequence[Prepared], references: Sequence[Reference], slots: int
) -> dict[Batching, Way]:
    """Return the ways that the backend allows, the fastest first."""
    ways: dict[Batching, Way] = {}
    if backend.group > 1:
        ways[Batching.TOGETHER] = lambda: _batched(backend, _grouped(backend, prompts), references, slots)
    if kv_cache.can_join(backend.language_model):
        ways[Batching.ONE_BY_ONE] = lambda: _batched(backend, _singly(backend, prompts), references, slots)
    ways[Batching.ALONE] = lambda: _isolated(backend, prompts, references)
    return ways


def prefilled(backend: Backend, prompts: Sequence[Embedded], chunk: int = 4096) -> Prefill:
    """Prefill prompts in one pass, `chunk` columns at a time."""
    prefill = Prefill(backend.language_model, prompts)
    while not prefill.finished:
        prefill.step(chunk)
        mx.eval(prefill.pending)
    return prefill


def as_numpy(logits: Any) -> Logits:
    """Convert logits to numpy, in float32."""
    return np.array(logits.astype(mx.float32))


def _isolated(backend: Backend, prompts: Sequence[Prepared], references: Sequence[Reference]) -> list[Step]:
    """Decode each sequence by itself, on the caches that the model made, not on those of a batch of one."""
    steps: list[Step] = []
    for at, (prompt, reference) in enumerate(zip(prompts, references, strict=True)):
        backend.forget()
        prefill = prefilled(backend, [backend.embed(prompt)])
        caches, deltas = prefill.caches, prefill.rope_deltas()
        steps.append((at, 0, as_numpy(prefill.logits)[0]))
        for step, token in enumerate(reference.tokens[:-1], 1):
            steps.append((at, step, _decoded(backend, caches, deltas, [token])[0]))
    return steps


def _batched(
    backend: Backend, prefills: Sequence[_Prefilled], references: Sequence[Reference], slots: int
) -> list[Step]:
    """Decode the first half of the sequences, then all of them, then a full batch."""
    half = len(references) // 2
    batch = _CheckBatch(backend, references)
    batch.join([one for one in prefills if one[0][0] < half])
    for _ in range(_BEFORE):
        batch.decode()
    batch.join([one for one in prefills if one[0][0] >= half])
    for _ in range(_WITH_ALL):
        batch.decode()
    batch.fill(slots)
    batch.decode()
    return batch.steps


def _grouped(backend: Backend, prompts: Sequence[Prepared]) -> list[_Prefilled]:
    """Prefill as the engine does: all images in one pass of the tower, and prompts in groups. Each half by itself."""
    backend.forget()
    seen = backend.encode([prompt for prompt in prompts if backend.patches(prompt)])
    mx.eval(list(seen.values()))
    embedded = [backend.embed(prompt, seen=seen) for prompt in prompts]
    half = len(prompts) // 2
    groups = grouped(embedded[:half]) + [[half + at for at in group] for group in grouped(embedded[half:])]
    return [(group, prefilled(backend, [embedded[at] for at in group])) for group in groups]


def _singly(backend: Backend, prompts: Sequence[Prepared]) -> list[_Prefilled]:
    """Prefill each prompt by itself, directly after its embedding: some models keep a prompt's positions."""
    backend.forget()
    return [([at], prefilled(backend, [backend.embed(prompt)])) for at, prompt in enumerate(prompts)]


class _CheckBatch:
    """Sequences that decode together. Each is given the tokens that its reference chose."""

    def __init__(self, backend: Backend, references: Sequence[Reference]) -> None:
        self.steps: list[Step] = []
        self._backend = backend
        self._references = references
        self._caches: Caches | None = None
        self._deltas: Any = None
        #: The place of each sequence, and the number of steps that it has made.
        self._sequences: list[tuple[int, int]] = []

    def join(self, prefills: Sequence[_Prefilled]) -> None:
        """Add prefilled sequences."""
        for group, prefill in prefills:
            more, deltas = prefill.batch_caches(), prefill.rope_deltas()
            self._caches = more if self._caches is None else kv_cache.extend(self._caches, more)
            self._deltas = deltas if self._deltas is None else mx.concatenate([self._deltas, deltas])
            self.steps += [(at, 0, first) for at, first in zip(group, as_numpy(prefill.logits), strict=True)]
            self._sequences += [(at, 0) for at in group]

    def decode(self) -> None:
        """Decode one token for every sequence."""
        assert self._caches is not None
        tokens = [self._references[at].tokens[step] for at, step in self._sequences]
        out = _decoded(self._backend, self._caches, self._deltas, tokens)
        self._sequences = [(at, step + 1) for at, step in self._sequences]
        self.steps += [(at, step, logits) for (at, step), logits in zip(self._sequences, out, strict=True)]

    def fill(self, slots: int) -> None:
        """Copy the sequences until all slots are taken: a device may compute many sequences in other ways than few."""
        assert self._caches is not None
        memory = KVMemory()
        # All sequences are padded to the longest, so any length will do.
        memory.measured(kv_cache.size(self._caches), len(self._sequences), 1)
        if slots <= len(self._sequences) or not memory.holds(slots, 1):
            return
        copies = [at % len(self._sequences) for at in range(slots)]
        kv_cache.keep(self._caches, copies)
        self._deltas = None if self._deltas is None else self._deltas[mx.array(copies, mx.int32)]
        self._sequences = [self._sequences[at] for at in copies]


def _decoded(backend: Backend, caches: Caches, deltas: Any, tokens: list[int]) -> Logits:
    """Return the logits (sequences, V) after one more token for each sequence."""
    return as_numpy(decoded(backend.language_model, mx.array(tokens), caches, deltas))
