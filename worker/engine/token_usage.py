"""The token usage of a sequence: prompt, image and completion tokens, counted from ids and never estimated."""

from __future__ import annotations

from typing import TypedDict

from worker.engine.sequences import LiveSequence


class TokenUsage(TypedDict):
    """The counts that a `Result` holds."""

    prompt_tokens: int
    image_tokens: int
    completion_tokens: int


def token_usage(sequence: LiveSequence) -> TokenUsage:
    """Count the tokens of a sequence.

    The prompt's ids include those of its images, after their expansion. The stop token does not count.
    """
    prepared = sequence.prepared
    return TokenUsage(
        prompt_tokens=len(prepared.ids),
        image_tokens=prepared.image_tokens,
        completion_tokens=len(sequence.tokens),
    )
