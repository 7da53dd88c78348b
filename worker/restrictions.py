"""top_k, min_p and top_p: which tokens of a distribution may be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from jobs.requests import Sampling


def restrict(scores: Any, rules: Sequence[Sampling]) -> Any:
    """−inf for the tokens of the scores (B, V) that the rows' top_k, min_p and top_p exclude, in this order, each renormalised.

    Tokens that tie with the last one that stays do stay. All three come down to one least score a row. Where every row has a
    top_k it is found among the candidates of the largest: sorting a vocabulary of 152,000 for top_p costs ten times as much.
    """
    vocabulary = scores.shape[-1]
    if not any(is_restricted(one, vocabulary) for one in rules):
        return scores
    if all(one.top_p == 1 and not 0 < one.top_k < vocabulary for one in rules):
        return _above_min_p(scores, rules)
    limits = [min(one.top_k or vocabulary, vocabulary) for one in rules]
    most = max(limits)
    candidates = scores if most == vocabulary else mx.topk(scores, most, axis=-1)
    descending = -mx.sort(-candidates, axis=-1)
    # The candidates that are left are always the first ones: a row keeps all whose score is at least its `least`.
    least = mx.take_along_axis(descending, _column([limit - 1 for limit in limits], mx.int32), axis=-1)
    least = mx.maximum(least, descending[:, :1] + mx.log(_column([one.min_p for one in rules])))
    if any(one.top_p < 1 for one in rules):
        kept = mx.where((mx.arange(most) < _column(limits, mx.int32)) & (descending >= least), descending, -mx.inf)
        least = mx.maximum(least, _least_of_top_p(kept, _column([one.top_p for one in rules])))
    return mx.where(scores < least, -mx.inf, scores)


def is_restricted(sampling: Sampling, vocabulary: int) -> bool:
    """Whether the rules exclude any token of such a vocabulary."""
    return 0 < sampling.top_k < vocabulary or sampling.min_p > 0 or sampling.top_p < 1


def _above_min_p(scores: Any, rules: Sequence[Sampling]) -> Any:
    least = mx.max(scores, axis=-1, keepdims=True) + mx.log(_column([one.min_p for one in rules]))
    return mx.where(scores < least, -mx.inf, scores)


def _least_of_top_p(descending: Any, top_p: Any) -> Any:
    """The least score (B, 1) of the smallest set of candidates (B, n) that holds `top_p` (B, 1) of their probability."""
    probabilities = mx.softmax(descending, axis=-1)
    # A token stays while those above it hold less. At 1 none is to go, whatever the sums are rounded to.
    above = mx.cumsum(probabilities, axis=-1) - probabilities
    stays = (above < top_p) | (top_p >= 1)
    return mx.min(mx.where(stays, descending, mx.inf), axis=-1, keepdims=True)


def _column(values: Sequence[float], dtype: Any = mx.float32) -> Any:
    return mx.array(list(values), dtype=dtype)[:, None]
