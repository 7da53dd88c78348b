"""Penalties for a sequence's earlier tokens, and the request's bias on some tokens, applied to the next logits.

Tokens are counted on the device: a step does not wait to learn which token the last step chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from jobs.sampling import Sampling


class Penalties:
    """The penalties and the bias of one sequence."""

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int], generated: Sequence[int] = ()) -> None:
        self._sampling = sampling
        self._prompt_ids = prompt_ids
        self._generated = generated
        #: (V,): how many times each token was generated.
        self._counts: Any = None
        #: (V,): whether each token stands in the prompt.
        self._in_prompt: Any = None

    @staticmethod
    def wanted(sampling: Sampling) -> bool:
        """Whether the request sets a penalty or a bias."""
        return sampling.is_penalized or bool(sampling.logit_bias)

    def __call__(self, logits: Any) -> Any:
        """Return the logits (V,) in float32 after penalties and bias. Ids beyond the vocabulary have no effect.

        repetition_penalty divides positive logits of tokens that were seen, and multiplies negative ones (Keskar et al. 2019,
        arXiv 1909.05858); frequency_penalty is subtracted each time that a token was generated, presence_penalty once.
        """
        size = logits.shape[0]
        if self._counts is None:
            self._counts = _counted(self._generated, size)
            self._in_prompt = _counted(self._prompt_ids, size) > 0
        sampling, counts = self._sampling, self._counts
        if sampling.repetition_penalty != 1:
            penalty = sampling.repetition_penalty
            seen = self._in_prompt | (counts > 0)
            logits = mx.where(seen, mx.where(logits > 0, logits / penalty, logits * penalty), logits)
        logits = logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)
        bias = {token: value for token, value in sampling.logit_bias.items() if token < size}
        if bias:
            logits = logits.at[mx.array(list(bias))].add(mx.array(list(bias.values())))
        return logits

    def count(self, token: Any) -> None:
        """Count the chosen token, an array without axes that need not be evaluated yet."""
        self._counts = self._counts.at[token].add(1)


def _counted(ids: Sequence[int], size: int) -> Any:
    counts = mx.zeros(size)
    # Some families mark images by ids that are no tokens, such as negative ones.
    known = [token for token in ids if 0 <= token < size]
    return counts.at[mx.array(known)].add(1) if known else counts
