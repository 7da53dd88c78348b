"""How a row ends: with its answer, or with an error."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.errors import CaptionqError
from worker.engine.sequences import LiveSequence
from worker.models.failures import as_captionq_error
from worker.sampling.tokens import Token


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
    """The sequence's end with an error."""
    return EndedSequence(row.key, error=as_captionq_error(error))
