"""Tokens that a step chose, one for each sequence, with the model's own log-probabilities if the request asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True)
class Token:
    """The next token of a sequence."""

    id: int
    #: The model's own log-probability of this token; None: the request did not ask for it.
    logprob: float | None = None
    #: The likeliest tokens, (id, log-probability) each.
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Reported:
    """The model's own log-probabilities for the R sequences that report them: of the chosen token, and of the K likeliest."""

    #: Places of the sequences in the batch.
    places: tuple[int, ...]
    chosen: Any  #: (R,)
    top_ids: Any  #: (R, K)
    top_logprobs: Any  #: (R, K)


@dataclass(frozen=True)
class Sampled:
    """The next tokens of B sequences, as arrays that the device may still be computing."""

    tokens: Any  #: (B,)
    #: A report for each batch that has been joined since.
    reported: tuple[Reported, ...] = ()

    @property
    def arrays(self) -> list[Any]:
        """All arrays, to be evaluated."""
        return [self.tokens, *((one.chosen, one.top_ids, one.top_logprobs) for one in self.reported)]

    def extended(self, other: Sampled) -> Sampled:
        """Return the tokens of both, the other's after these."""
        shift = self.tokens.shape[0]
        moved = tuple(
            Reported(tuple(at + shift for at in one.places), one.chosen, one.top_ids, one.top_logprobs)
            for one in other.reported
        )
        return Sampled(mx.concatenate([self.tokens, other.tokens]), self.reported + moved)

    def kept(self, places: Sequence[int]) -> Sampled:
        """Return the tokens of the sequences at these places, in this order."""
        new = {old: at for at, old in enumerate(places)}
        reported = []
        for one in self.reported:
            staying = [at for at, old in enumerate(one.places) if old in new]
            if staying:
                index = mx.array(staying)
                moved = tuple(new[one.places[at]] for at in staying)
                reported.append(Reported(moved, one.chosen[index], one.top_ids[index], one.top_logprobs[index]))
        return Sampled(self.tokens[mx.array(list(places))], tuple(reported))

    def read(self) -> list[Token]:
        """Return a token for each sequence. Waits for the device."""
        tokens = [Token(token) for token in self.tokens.tolist()]
        for one in self.reported:
            lists = (one.chosen.tolist(), one.top_ids.tolist(), one.top_logprobs.tolist())
            for at, logprob, ids, logprobs in zip(one.places, *lists, strict=True):
                tokens[at] = Token(tokens[at].id, logprob, tuple(zip(ids, logprobs, strict=True)))
        return tokens
