"""Sampling a row of a shared batch: one logits processor a row that asks for it, and greedy decoding for all.

The generators take one sampler for a whole batch, so it is the greedy one, and a row that is to be sampled hands it scores in
which the greedy choice *is* a sample: adding Gumbel noise to log-probabilities and taking the largest draws from their
distribution (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030). A row's noise depends on its seed and position alone, so its
answer is the same whatever its neighbours are.
"""

from __future__ import annotations

import secrets
from typing import Any, Protocol

import mlx.core as mx

from jobs.requests import Sampling

# The increment of SplitMix64: consecutive positions get keys that share no pattern.
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


class LogitsProcessor(Protocol):
    """What the generators call for a row, once a token."""

    def __call__(self, tokens: Any, logits: Any) -> Any: ...


def logits_processors(sampling: Sampling) -> list[LogitsProcessor] | None:
    """Fresh processors for a row, or None for greedy decoding."""
    return [GumbelSampler(sampling)] if sampling.temperature > 0 else None


class GumbelSampler:
    """Turns a row's logits (1, V) into scores whose largest is a sample."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._position = 0

    def __call__(self, tokens: Any, logits: Any) -> Any:
        """The scores (1, V), in float32: half precision would round the noise away."""
        key = mx.random.key((self._seed + _GOLDEN * self._position) & _MASK)
        self._position += 1
        scores = _restrict(logits.astype(mx.float32) / self._sampling.temperature, self._sampling)
        return scores + mx.random.gumbel(scores.shape, key=key)


def _restrict(scores: Any, sampling: Sampling) -> Any:
    """−inf for the tokens that top_k, top_p and min_p exclude. top_k comes first: it spares the others the whole vocabulary."""
    if 0 < sampling.top_k < scores.shape[-1]:
        threshold = mx.min(mx.topk(scores, sampling.top_k, axis=-1), axis=-1, keepdims=True)
        scores = mx.where(scores < threshold, -mx.inf, scores)
    if sampling.min_p > 0:
        threshold = mx.max(scores, axis=-1, keepdims=True) + mx.log(mx.array(sampling.min_p))
        scores = mx.where(scores < threshold, -mx.inf, scores)
    if sampling.top_p < 1:
        probabilities = mx.softmax(scores, axis=-1)
        descending = -mx.sort(-probabilities, axis=-1)
        # The smallest set that holds top_p: a token stays while those above it hold less.
        above = mx.cumsum(descending, axis=-1) - descending
        smallest = mx.min(mx.where(above < sampling.top_p, descending, mx.inf), axis=-1, keepdims=True)
        scores = mx.where(probabilities < smallest, -mx.inf, scores)
    return scores
