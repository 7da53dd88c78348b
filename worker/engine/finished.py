"""How a row ends: with its answer, or with an error."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobs.errors import CaptionqError, EngineError, OutOfMemoryError, in_words
from worker.engine.sequences import LiveSequence
from worker.sampling.tokens import Token

#: How mlx and Metal say that there is not enough memory.
_MEMORY = re.compile(r"alloc|insufficient memory|out ?of ?memory", re.IGNORECASE)


@dataclass(frozen=True)
class EndedSequence:
    """A row that has ended: with its answer, or with an error."""

    key: str
    text: str = ""
    #: The generated tokens, without the stop token.
    tokens: tuple[Token, ...] = ()
    #: `stop` or `length`.
    finish_reason: str = "stop"
    #: Ids of the prompt, image tokens included.
    prompt_tokens: int = 0
    image_tokens: int = 0
    #: From the admission to the first token, in seconds. The other rows decode meanwhile.
    prefill_seconds: float = 0.0
    #: From the first token to the last.
    decode_seconds: float = 0.0
    #: What was noticed about the text: `empty`, `repetition`.
    quality: str | None = None
    #: The tokens' log-probabilities as JSON, if they were asked for.
    logprobs: str | None = None
    error: CaptionqError | None = None

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(token.id for token in self.tokens)

    @property
    def completion_tokens(self) -> int:
        """Generated ids, without the stop token."""
        return len(self.tokens)


def failed(row: LiveSequence, error: Exception) -> EndedSequence:
    """An error of ours as it is; any other one in our words."""
    if isinstance(error, CaptionqError):
        return EndedSequence(row.key, error=error)
    if is_about_memory(error):
        message = f"There is too little memory for this request: {in_words(error)}"
        return EndedSequence(row.key, error=OutOfMemoryError(message))
    return EndedSequence(row.key, error=EngineError(f"Generation failed: {in_words(error)}"))


def is_about_memory(error: Exception) -> bool:
    """Whether it says that there is not enough: another time there may be."""
    return isinstance(error, MemoryError) or _MEMORY.search(str(error)) is not None
