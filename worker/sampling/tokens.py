"""Tokens that a step chose, one for each sequence, with the model's own log-probabilities if the request asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

#: OpenAI's value for a token that is all but impossible; JSON has no infinity.
_IMPOSSIBLE = -9999.0


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


def openai_logprobs(tokenizer: Any, tokens: Sequence[Token], count: int) -> list[dict[str, Any]]:
    """Return the log-probabilities of tokens as OpenAI's chat completions write them.

    Each entry is `{"token", "logprob", "bytes", "top_logprobs": […]}` with `count` entries in `top_logprobs`. A token that is a
    part of a character reads U+FFFD, and its `bytes` are None.
    """
    texts = _Texts(tokenizer)
    return [
        {
            **texts.entry(token.id, token.logprob or 0.0),
            "top_logprobs": [texts.entry(other, logprob) for other, logprob in token.top[:count]],
        }
        for token in tokens
    ]


class _Texts:
    """The texts of single tokens, each as it reads within an answer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # Decoders of sentencepiece's kind drop the space before the first of the tokens that they get.
        self._before: list[int] = tokenizer.encode("a", add_special_tokens=False)[-1:]
        self._text_before = self._decoded(self._before)

    def entry(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._decoded([*self._before, token]).removeprefix(self._text_before)
        known = None if "�" in text else list(text.encode())
        return {"token": text, "logprob": logprob if logprob > _IMPOSSIBLE else _IMPOSSIBLE, "bytes": known}

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text
