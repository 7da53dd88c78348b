"""Choosing the next token: every row of a batch by rules of its own.

A row that asks for nothing takes the likeliest token, and its logits are not touched. For the others, in this order: penalties
and bias on the logits, what a grammar allows, temperature, top_k, min_p, top_p, and the draw.

The draw adds Gumbel noise to log-probabilities and takes the largest, which draws from their distribution (Gumbel 1954; Maddison
et al. 2014, arXiv 1411.0030). A row's noise depends on its seed and position alone, so its answer is the same whatever its
neighbours are, and a row that is taken up again goes on as it would have.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.errors import EngineError
from jobs.requests import Sampling
from worker.sampling.grammar import Constraint
from worker.sampling.penalties import Penalties
from worker.sampling.tokens import Reported, Sampled

# The increment of SplitMix64: consecutive positions get keys that share no pattern.
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
#: Below it the likeliest token is taken: scores divided by less would overflow.
COLDEST = 1e-5


class _Rules:
    """One row's."""

    def __init__(
        self, sampling: Sampling, prompt_ids: Sequence[int], generated: Sequence[int], constraint: Constraint | None
    ) -> None:
        self.sampling = sampling
        self.constraint = constraint
        self.penalties = Penalties(sampling, prompt_ids, generated) if Penalties.wanted(sampling) else None
        self._seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._position = len(generated)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is right as it is."""
        return self.sampling.temperature < COLDEST and self.penalties is None and self.constraint is None

    def next_key(self) -> Any:
        """The key (2,) of the noise at the next position."""
        key = mx.random.key((self._seed + _GOLDEN * self._position) & _MASK)
        self._position += 1
        return key


class Sampler:
    """The rules of the rows of a batch, in the order of the rows."""

    def __init__(self) -> None:
        self._rules: list[_Rules] = []

    def add(
        self,
        sampling: Sampling,
        prompt_ids: Sequence[int],
        generated: Sequence[int] = (),
        constraint: Constraint | None = None,
    ) -> None:
        """A row joins at the end. `generated`: it is taken up again after these, and `constraint` has seen them."""
        self._rules.append(_Rules(sampling, prompt_ids, generated, constraint))

    def extend(self, other: Sampler) -> None:
        """The rows of another sampler join at the end, with all that they have seen."""
        self._rules += other._rules

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows stay, in this order."""
        self._rules = [self._rules[row] for row in rows]

    @property
    def needs_tokens(self) -> bool:
        """Whether `observe` has to be told the last tokens before the next call."""
        return any(rules.constraint is not None for rules in self._rules)

    def observe(self, tokens: Sequence[int]) -> None:
        """The tokens that the last call chose, one a row. Raises EngineError for one that its grammar refuses."""
        for rules, token in zip(self._rules, tokens, strict=True):
            if rules.constraint is not None:
                rules.constraint.accept(token)

    def __call__(self, logits: Any) -> Sampled:
        """Choose a token for each row of the logits (B, V). Nothing is evaluated yet.

        Raises EngineError when there are not as many rows as rules: one would get another's.
        """
        if len(logits) != len(self._rules):
            raise EngineError(f"There are logits for {len(logits)} rows, but rules for {len(self._rules)}.")
        tokens = mx.argmax(logits, axis=-1)
        special = [row for row, rules in enumerate(self._rules) if not rules.greedy]
        if special:
            index = mx.array(special)
            tokens[index] = self._choose([self._rules[row] for row in special], logits[index]).astype(tokens.dtype)
        for row in special:
            if (penalties := self._rules[row].penalties) is not None:
                penalties.count(tokens[row])
        return Sampled(tokens, self._report(logits, tokens))

    def _choose(self, rules: list[_Rules], logits: Any) -> Any:
        """Tokens (S,) for the logits (S, V) of rows with rules. In float32: half precision would round the noise away."""
        scores = logits.astype(mx.float32)
        if any(one.penalties is not None for one in rules):
            rows = [scores[at] if one.penalties is None else one.penalties(scores[at]) for at, one in enumerate(rules)]
            scores = mx.stack(rows)
        constrained = [at for at, one in enumerate(rules) if one.constraint is not None]
        if constrained:
            allowed = np.ones(scores.shape, np.bool_)
            for at in constrained:
                if (constraint := rules[at].constraint) is not None:
                    # A grammar may know fewer tokens than there are logits, or more: no others are allowed.
                    known = constraint.allowed()[: scores.shape[-1]]
                    allowed[at, : len(known)], allowed[at, len(known) :] = known, False
            scores = mx.where(mx.array(allowed), scores, -mx.inf)
        return mx.argmax(_drawn(rules, scores), axis=-1)

    def _report(self, logits: Any, tokens: Any) -> tuple[Reported, ...]:
        rows = [row for row, rules in enumerate(self._rules) if rules.sampling.logprobs]
        if not rows:
            return ()
        index = mx.array(rows)
        own = logits[index].astype(mx.float32)
        own = own - mx.logsumexp(own, axis=-1, keepdims=True)
        most = max(self._rules[row].sampling.top_logprobs for row in rows)
        likeliest = mx.argpartition(-own, most, axis=-1)[:, :most] if most else mx.zeros((len(rows), 0), mx.uint32)
        top = mx.take_along_axis(own, likeliest, axis=-1)
        order = mx.argsort(-top, axis=-1)
        return (
            Reported(
                rows=tuple(rows),
                chosen=mx.take_along_axis(own, tokens[index][:, None], axis=-1)[:, 0],
                top_ids=mx.take_along_axis(likeliest, order, axis=-1),
                top_logprobs=mx.take_along_axis(top, order, axis=-1),
            ),
        )


def _drawn(rules: list[_Rules], scores: Any) -> Any:
    """Scores (S, V) whose largest is the choice. Rows of the same rules are computed together."""
    alike: dict[tuple[int, float, float], list[int]] = defaultdict(list)
    for at, one in enumerate(rules):
        if one.sampling.temperature >= COLDEST:
            alike[one.sampling.top_k, one.sampling.min_p, one.sampling.top_p].append(at)
    for rows in alike.values():
        index = mx.array(rows)
        temperature = mx.array([[rules[at].sampling.temperature] for at in rows])
        cooled = restrict(scores[index] / temperature, rules[rows[0]].sampling)
        keys = mx.stack([rules[at].next_key() for at in rows])
        noise = mx.vmap(lambda key: mx.random.gumbel((scores.shape[-1],), key=key))(keys)
        scores[index] = cooled + noise
    return scores


def restrict(scores: Any, sampling: Sampling) -> Any:
    """−inf for the tokens of the scores (S, V) that top_k, min_p and top_p exclude, in this order, each renormalised.

    Tokens that tie with the last one that stays do stay. All three come down to one least score, and with top_k it is found
    among k candidates: sorting a vocabulary of 152,000 for top_p costs 22 ms a row and token.
    """
    top_k = 0 < sampling.top_k < scores.shape[-1]
    if not top_k and sampling.min_p == 0 and sampling.top_p == 1:
        return scores
    candidates = mx.topk(scores, sampling.top_k, axis=-1) if top_k else scores
    least = mx.min(candidates, axis=-1, keepdims=True)
    if sampling.min_p > 0:
        least = mx.maximum(least, mx.max(candidates, axis=-1, keepdims=True) + mx.log(mx.array(sampling.min_p)))
    if sampling.top_p < 1:
        least = mx.maximum(least, _least_of_top_p(mx.where(candidates < least, -mx.inf, candidates), sampling.top_p))
    return mx.where(scores < least, -mx.inf, scores)


def _least_of_top_p(candidates: Any, top_p: float) -> Any:
    """The least score (S, 1) of the smallest set of candidates (S, n) that holds `top_p` of their probability."""
    descending = -mx.sort(-candidates, axis=-1)
    probabilities = mx.softmax(descending, axis=-1)
    # A token stays while those above it hold less.
    above = mx.cumsum(probabilities, axis=-1) - probabilities
    return mx.min(mx.where(above < top_p, descending, mx.inf), axis=-1, keepdims=True)
