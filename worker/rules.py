"""Which rows of a batch have which rules: what a sampler works out when the batch changes, and not at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from jobs.requests import Sampling
from worker.grammar import Constraint
from worker.restrictions import is_restricted


@dataclass(eq=False)
class Row:
    """A row's rules, and how far it is."""

    sampling: Sampling
    prompt_ids: Sequence[int]
    generated: Sequence[int]
    constraint: Constraint | None
    seed: int
    #: How many tokens were chosen before the next one.
    position: int
    #: Whether the last one that was chosen has still to be observed.
    unobserved: bool = False


class Plan:
    """Which rules there are in the rows as they stand: indices and columns that are the same for many steps."""

    def __init__(self, rows: Sequence[Row], vocabulary: int) -> None:
        self.vocabulary = vocabulary
        rules = [row.sampling for row in rows]
        self.penalized = [row for row, one in enumerate(rules) if one.is_penalized]
        self.constrained = [row for row, one in enumerate(rows) if one.constraint is not None]
        self.sampled = [row for row, one in enumerate(rules) if one.temperature > 0]
        biases = [
            (row, token, bias)
            for row, one in enumerate(rules)
            for token, bias in one.logit_bias.items()
            if token < vocabulary
        ]
        self.biased = sorted({row for row, _, _ in biases})
        #: Those whose scores are not the model's logits.
        self.ruled = sorted({*self.penalized, *self.constrained, *self.sampled, *self.biased})
        self.bias_rows = mx.array(self.within([row for row, _, _ in biases]), dtype=mx.int32)
        self.bias_tokens = mx.array([token for _, token, _ in biases], dtype=mx.int32)
        self.bias_values = mx.array([bias for _, _, bias in biases], dtype=mx.float32)
        hot = [rules[row] for row in self.sampled]
        self.temperatures = mx.array([one.temperature for one in hot], dtype=mx.float32)[:, None]
        self.restricted = _kinds(hot, vocabulary)
        self.reported = [row for row, one in enumerate(rules) if one.logprobs]
        self.most_reported = min(max((one.top_logprobs for one in rules if one.logprobs), default=0), vocabulary)

    def within(self, rows: Sequence[int]) -> list[int]:
        """Where these rows are among those with rules."""
        places = {row: place for place, row in enumerate(self.ruled)}
        return [places[row] for row in rows]


def _kinds(rules: Sequence[Sampling], vocabulary: int) -> list[list[int]]:
    """The restricted ones by what they cost: candidates of top_k, a sorted vocabulary for top_p, or neither for min_p."""
    kinds: dict[tuple[bool, bool], list[int]] = {}
    for place, one in enumerate(rules):
        if is_restricted(one, vocabulary):
            by_top_k = 0 < one.top_k < vocabulary
            kinds.setdefault((by_top_k, one.top_p < 1 and not by_top_k), []).append(place)
    return list(kinds.values())


def rows_of(array: Any, rows: Sequence[int]) -> Any:
    """These rows of the array, which are in ascending order."""
    return array if len(rows) == array.shape[0] else array[mx.array(list(rows), dtype=mx.int32)]


def rewrite(scores: Any, rows: Sequence[int], rule: Callable[[Any], Any]) -> Any:
    """The scores with these rows, which are in ascending order, as the rule makes them."""
    if len(rows) == scores.shape[0]:
        return rule(scores)
    # An array of its own: assigning to the caller's would change it.
    rewritten = scores[:]
    index = mx.array(list(rows), dtype=mx.int32)
    rewritten[index] = rule(scores[index])
    return rewritten
