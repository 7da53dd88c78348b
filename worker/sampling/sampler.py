"""The sampler: chooses the next token of every sequence of a batch by the sequence's own rules.

A greedy sequence without rules takes the likeliest token, and its logits are not touched. For the others, in this order:
penalties and bias on the logits, the grammar's mask, temperature, top_k, min_p, top_p, and the draw.

The draw adds Gumbel noise to log-probabilities and takes the largest, which draws from their distribution (Gumbel 1954; Maddison
et al. 2014, arXiv 1411.0030). A sequence's noise depends only on its seed and position, so its answer is the same in any batch,
and a sequence that is taken up again goes on as it would have.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.errors import EngineError
from jobs.sampling import Sampling
from worker.sampling.constraint import Constraint
from worker.sampling.penalties import Penalties
from worker.sampling.tokens import Reported, Sampled

# The increment of SplitMix64: consecutive positions get keys that share no pattern.
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
#: The temperature below which the likeliest token is taken: scores divided by less would overflow.
COLDEST = 1e-5


class _Rules:
    """The rules of one sequence."""

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
        """Whether the likeliest token is taken, and no rule changes the logits."""
        return self.sampling.temperature < COLDEST and self.penalties is None and self.constraint is None

    def next_key(self) -> Any:
        """Return the key (2,) of the noise at the next position."""
        key = mx.random.key((self._seed + _GOLDEN * self._position) & _MASK)
        self._position += 1
        return key


class Sampler:
    """The rules of a batch's sequences, in the order of the batch."""

    def __init__(self) -> None:
        self._rules: list[_Rules] = []

    def add(
        self,
        sampling: Sampling,
        prompt_ids: Sequence[int],
        generated: Sequence[int] = (),
        constraint: Constraint | None = None,
    ) -> None:
        """Append a sequence.

        Args:
            generated: Tokens of a sequence that is taken up again; `constraint` has accepted them.
        """
        self._rules.append(_Rules(sampling, prompt_ids, generated, constraint))

    def extend(self, other: Sampler) -> None:
        """Append the sequences of another sampler, with their penalties, positions and grammars."""
        self._rules += other._rules

    def keep(self, places: Sequence[int]) -> None:
        """Keep only the sequences at these places, in this order."""
        self._rules = [self._rules[at] for at in places]

    @property
    def needs_tokens(self) -> bool:
        """Whether `observe` must be called with the last tokens before the next call."""
        return any(rules.constraint is not None for rules in self._rules)

    def observe(self, tokens: Sequence[int]) -> None:
        """Give each grammar the token that the last call chose. Raises EngineError for a token that a grammar refuses."""
        for rules, token in zip(self._rules, tokens, strict=True):
            if rules.constraint is not None:
                rules.constraint.accept(token)

    def __call__(self, logits: Any) -> Sampled:
        """Choose a token for each sequence of the logits (B, V). Evaluates nothing yet.

        Raises EngineError unless there are as many sequences as rules: a sequence would get another's token.
        """
        if len(logits) != len(self._rules):
            raise EngineError(f"There are logits for {len(logits)} sequences, but rules for {len(self._rules)}.")
        tokens = mx.argmax(logits, axis=-1)
        special = [at for at, rules in enumerate(self._rules) if not rules.greedy]
        if special:
            index = mx.array(special)
            tokens[index] = self._choose([self._rules[at] for at in special], logits[index]).astype(tokens.dtype)
        for at in special:
            if (penalties := self._rules[at].penalties) is not None:
                penalties.count(tokens[at])
        return Sampled(tokens, self._report(logits, tokens))

    def _choose(self, rules: list[_Rules], logits: Any) -> Any:
        """Choose tokens (S,) for the logits (S, V) of sequences with rules.

        Computes in float32: half precision would round the noise away.
        """
        scores = logits.astype(mx.float32)
        if any(one.penalties is not None for one in rules):
            scores = mx.stack(
                [scores[at] if one.penalties is None else one.penalties(scores[at]) for at, one in enumerate(rules)]
            )
        constrained = [at for at, one in enumerate(rules) if one.constraint is not None]
        if constrained:
            allowed = np.ones(scores.shape, np.bool_)
            for at in constrained:
                if (constraint := rules[at].constraint) is not None:
                    # A grammar may know fewer tokens than there are logits, or more. Tokens beyond the grammar's are not allowed.
                    known = constraint.allowed()[: scores.shape[-1]]
                    allowed[at, : len(known)], allowed[at, len(known) :] = known, False
            scores = mx.where(mx.array(allowed), scores, -mx.inf)
        return mx.argmax(_drawn(rules, scores), axis=-1)

    def _report(self, logits: Any, tokens: Any) -> tuple[Reported, ...]:
        places = [at for at, rules in enumerate(self._rules) if rules.sampling.logprobs]
        if not places:
            return ()
        index = mx.array(places)
        own = logits[index].astype(mx.float32)
        own = own - mx.logsumexp(own, axis=-1, keepdims=True)
        most = max(self._rules[at].sampling.top_logprobs for at in places)
        likeliest = mx.argpartition(-own, most, axis=-1)[:, :most] if most else mx.zeros((len(places), 0), mx.uint32)
        top = mx.take_along_axis(own, likeliest, axis=-1)
        order = mx.argsort(-top, axis=-1)
        return (
            Reported(
                places=tuple(places),
                chosen=mx.take_along_axis(own, tokens[index][:, None], axis=-1)[:, 0],
                top_ids=mx.take_along_axis(likeliest, order, axis=-1),
                top_logprobs=mx.take_along_axis(top, order, axis=-1),
            ),
        )


def _drawn(rules: list[_Rules], scores: Any) -> Any:
    """Return scores (S, V) of which the largest is the choice. Sequences with equal rules are computed together."""
    alike: dict[tuple[int, float, float], list[int]] = defaultdict(list)
    for at, one in enumerate(rules):
        if one.sampling.temperature >= COLDEST:
            alike[one.sampling.top_k, one.sampling.min_p, one.sampling.top_p].append(at)
    for places in alike.values():
        index = mx.array(places)
        temperature = mx.array([[rules[at].sampling.temperature] for at in places])
        cooled = restrict(scores[index] / temperature, rules[places[0]].sampling)
        keys = mx.stack([rules[at].next_key() for at in places])
        noise = mx.vmap(lambda key: mx.random.gumbel((scores.shape[-1],), key=key))(keys)
        scores[index] = cooled + noise
    return scores


def restrict(scores: Any, sampling: Sampling) -> Any:
    """Set the scores (S, V) to −inf that top_k, min_p and top_p exclude, in this order, each renormalised.

    Tokens that tie with the last one that stays also stay. All three rules come down to one least score, and with top_k that
    score is found among k candidates: sorting a vocabulary of 152,000 for top_p costs 22 ms a sequence and token.
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
    """Return the least score (S, 1) of the smallest set of candidates (S, n) that holds `top_p` of their probability."""
    descending = -mx.sort(-candidates, axis=-1)
    probabilities = mx.softmax(descending, axis=-1)
    # A token stays while the tokens above hold less.
    above = mx.cumsum(probabilities, axis=-1) - probabilities
    return mx.min(mx.where(above < top_p, descending, mx.inf), axis=-1, keepdims=True)
