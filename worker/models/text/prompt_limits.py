"""The count of a prompt's tokens, and the limits on that count: the model's context and the operator's setting."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from jobs.errors import ContextLengthError
from jobs.sampling import Sampling

#: Characters up to which a prompt's text is tokenised in one go, without a count in pieces before.
SHORT_TEXT = 1 << 16
#: Characters of a piece of a longer text.
PIECE_CHARACTERS = 1 << 14
#: Tokens of a piece that may exist only because the text was cut there, and are not counted.
_CUT_TOKENS = 4


def refuse_long_text(tokenizer: Any, lock: threading.Lock, texts: Sequence[str], limit: int) -> None:
    """Count a long prompt's tokens piece by piece, and stop at the limit.

    The lock is released between two pieces, so that other requests are tokenised meanwhile.

    Raises:
        ContextLengthError: The texts have more than `limit` tokens.
    """
    if sum(map(len, texts)) <= SHORT_TEXT:
        return
    tokens = 0
    pieces = (text[at : at + PIECE_CHARACTERS] for text in texts for at in range(0, len(text), PIECE_CHARACTERS))
    for piece in pieces:
        with lock:
            tokens += max(0, len(tokenizer.encode(piece, add_special_tokens=False)) - _CUT_TOKENS)
        if tokens > limit:
            raise ContextLengthError(
                f"The prompt's text has more than the {limit} tokens that are allowed. Send less text."
            )


def count_image_tokens(ids: Sequence[int], image_token: int | None) -> int:
    """Count the ids that stand for images in an expanded prompt."""
    return 0 if image_token is None else ids.count(image_token)


def check_control_tokens(tokens: int, context: int | None) -> None:
    """Check that the control tokens that a request spells out leave room for the rest of the prompt.

    Args:
        tokens: Number of ids that these control tokens have as plain text.
        context: The model's context length in tokens; None: unknown.

    Raises:
        ContextLengthError: They fill the context.
    """
    if context is not None and tokens >= context:
        raise ContextLengthError(
            f"The prompt spells out control tokens: {tokens} tokens as text, and the model takes {context} with the "
            "answer. Send less text."
        )


def check_prompt_tokens(tokens: int, image_tokens: int, limit: int | None) -> None:
    """Raise ContextLengthError for a prompt that is longer than the settings allow."""
    if limit is not None and tokens > limit:
        raise ContextLengthError(
            f"The prompt has {tokens} tokens ({image_tokens} for images); {limit} are allowed "
            "(CAPTIONQ_MAX_PROMPT_TOKENS). Send less text, or fewer or smaller images."
        )


def within_context(context: int | None, prompt_tokens: int, image_tokens: int, sampling: Sampling) -> Sampling:
    """Return the sampling with `max_tokens` reduced to the tokens that the prompt leaves of the context.

    The libraries decode past the end of a context without an error.

    Raises:
        ContextLengthError: The prompt leaves no token.
    """
    if context is None or prompt_tokens + sampling.max_tokens <= context:
        return sampling
    if prompt_tokens < context:
        return sampling.model_copy(update={"max_tokens": context - prompt_tokens})
    raise ContextLengthError(
        f"The prompt has {prompt_tokens} tokens ({image_tokens} for images), and the model takes {context} with the answer. "
        "Send less text, or fewer or smaller images."
    )
