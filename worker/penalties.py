"""What is taken off the logits of tokens that are there already.

The counts live on the device, and grow by the tokens of a step without anybody waiting for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.requests import Sampling


class Penalties:
    """The counts of some rows, in their order: P rows of a vocabulary of V."""

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        #: (P, V): whether a token is in the prompt or the answer, and how often it is in the answer.
        self._seen: mx.array = mx.zeros((0, vocabulary), dtype=mx.bool_)
        self._counts: mx.array = mx.zeros((0, vocabulary), dtype=mx.float32)
        #: repetition, presence and frequency penalty, each (P, 1).
        self._strengths: list[mx.array] = [mx.zeros((0, 1))] * 3

    def add(self, sampling: Sampling, prompt_ids: Sequence[int], generated: Sequence[int]) -> None:
        """A row at the end. Ids that are none of the vocabulary's, as some families' image markers, do not count."""
        counts = self._histogram(generated)
        seen = (counts > 0) | (self._histogram(prompt_ids) > 0)
        self._counts = mx.concatenate([self._counts, mx.array(counts)[None]])
        self._seen = mx.concatenate([self._seen, mx.array(seen)[None]])
        strengths = (sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty)
        self._strengths = [
            mx.concatenate([column, mx.array([[value]])])
            for column, value in zip(self._strengths, strengths, strict=True)
        ]

    def keep(self, rows: Sequence[int]) -> None:
        """These rows stay, in this order."""
        index = mx.array(list(rows), dtype=mx.int32)
        self._seen, self._counts = self._seen[index], self._counts[index]
        self._strengths = [column[index] for column in self._strengths]

    def apply(self, scores: Any) -> Any:
        """The scores (P, V), in float32, with the repetition penalty first and the others after it: vLLM's order."""
        repetition, presence, frequency = self._strengths
        repeated = mx.where(scores > 0, scores / repetition, scores * repetition)
        scores = mx.where(self._seen, repeated, scores)
        return scores - frequency * self._counts - presence * (self._counts > 0)

    def count(self, tokens: Any) -> None:
        """The tokens (P,) that were chosen, which nobody need know yet."""
        rows = mx.arange(tokens.shape[0])
        self._counts = self._counts.at[rows, tokens].add(1.0)
        self._seen = self._seen | (self._counts > 0)

    def _histogram(self, ids: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        known = np.array([token for token in ids if 0 <= token < self._vocabulary], dtype=np.int64)
        return np.bincount(known, minlength=self._vocabulary).astype(np.float32)
