"""The texts of single tokens, and with them log-probabilities as OpenAI's clients read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.sampling.tokens import Token

#: OpenAI's value for a token that is all but impossible; JSON has no infinity.
_IMPOSSIBLE = -9999.0


class TokenTexts:
    """The texts of a model's tokens, each as it reads within an answer. Made once: a stream asks after every step."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # Decoders of sentencepiece's kind drop the space before the first of the tokens that they get.
        self._before: list[int] = tokenizer.encode("a", add_special_tokens=False)[-1:]
        self._text_before = self._decoded(self._before)

    def openai_logprobs(self, tokens: Sequence[Token], count: int) -> list[dict[str, Any]]:
        """Return the log-probabilities of tokens as OpenAI's chat completions write them.

        Each entry is `{"token", "logprob", "bytes", "top_logprobs": […]}` with `count` entries in `top_logprobs`. A token that
        is a part of a character reads U+FFFD, and its `bytes` are None.
        """
        return [
            {
                **self._entry(token.id, token.logprob or 0.0),
                "top_logprobs": [self._entry(other, logprob) for other, logprob in token.top[:count]],
            }
            for token in tokens
        ]

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._decoded([*self._before, token]).removeprefix(self._text_before)
        known = None if "�" in text else list(text.encode())
        return {"token": text, "logprob": logprob if logprob > _IMPOSSIBLE else _IMPOSSIBLE, "bytes": known}

    def _decoded(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text
