"""What a step chose: a token a row, and what the model thought of it where a row asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True)
class Reported:
    """The model's own log-probabilities for the rows that asked, R of them: of the chosen token, and of the K likeliest."""

    #: Which rows of the batch they are.
    rows: tuple[int, ...]
    chosen: Any  #: (R,)
    top_ids: Any  #: (R, K)
    top_logprobs: Any  #: (R, K)


@dataclass(frozen=True)
class Sampled:
    """Arrays that the device may still be at."""

    tokens: Any  #: (B,)
    #: One for each batch that has been joined since.
    reported: tuple[Reported, ...] = ()

    @property
    def arrays(self) -> list[Any]:
        return [self.tokens, *((one.chosen, one.top_ids, one.top_logprobs) for one in self.reported)]

    def extended(self, other: Sampled) -> Sampled:
        """With the rows of another one after its own."""
        shift = self.tokens.shape[0]
        moved = tuple(
            Reported(tuple(row + shift for row in one.rows), one.chosen, one.top_ids, one.top_logprobs)
            for one in other.reported
        )
        return Sampled(mx.concatenate([self.tokens, other.tokens]), self.reported + moved)

    def kept(self, rows: Sequence[int]) -> Sampled:
        """Only these rows, in this order."""
        new = {old: at for at, old in enumerate(rows)}
        reported = []
        for one in self.reported:
            staying = [at for at, old in enumerate(one.rows) if old in new]
            if staying:
                index = mx.array(staying)
                numbers = tuple(new[one.rows[at]] for at in staying)
                reported.append(Reported(numbers, one.chosen[index], one.top_ids[index], one.top_logprobs[index]))
        return Sampled(self.tokens[mx.array(list(rows))], tuple(reported))

    def read(self) -> list[Token]:
        """A token a row; waits for the device."""
        tokens = [Token(token) for token in self.tokens.tolist()]
        for one in self.reported:
            lists = (one.chosen.tolist(), one.top_ids.tolist(), one.top_logprobs.tolist())
            for row, logprob, ids, logprobs in zip(one.rows, *lists, strict=True):
                tokens[row] = Token(tokens[row].id, logprob, tuple(zip(ids, logprobs, strict=True)))
        return tokens


@dataclass(frozen=True)
class Token:
    """The next token of a row."""

    id: int
    #: The model's own log-probability of it, and of the likeliest ones, where the row asked for them.
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
