"""The log-probabilities of an answer's tokens, as OpenAI's chat completions write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from worker.sampling.tokens import Token

#: OpenAI writes this for what is all but impossible; JSON has no infinity.
_IMPOSSIBLE = -9999.0


def as_json(tokenizer: Any, tokens: Sequence[Token], count: int) -> str:
    """`[{"token", "logprob", "bytes", "top_logprobs": […]}, …]`, with `count` entries in each `top_logprobs`.

    A token of a part of a character reads U+FFFD; its bytes are not known then.
    """
    content = [
        {
            **_entry(tokenizer, token.id, token.logprob or 0.0),
            "top_logprobs": [_entry(tokenizer, other, logprob) for other, logprob in token.top[:count]],
        }
        for token in tokens
    ]
    return json.dumps(content, ensure_ascii=False)


def _entry(tokenizer: Any, token: int, logprob: float) -> dict[str, Any]:
    text: str = tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    known = None if "�" in text else list(text.encode())
    return {"token": text, "logprob": logprob if logprob > _IMPOSSIBLE else _IMPOSSIBLE, "bytes": known}
