"""A sequence from its admission to its outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from jobs.errors import CaptionqError
from jobs.store.result import Result
from worker.models.inputs import Prepared
from worker.models.text.detokenizer import TextStream

if TYPE_CHECKING:
    from worker.sampling.tokens import Token


class SequenceState(Enum):
    """The part of the engine that holds a sequence."""

    #: In the waiting queue.
    WAITING = auto()
    #: In a prefill group.
    PREFILLING = auto()
    #: In the batch.
    DECODING = auto()


@dataclass(eq=False)
class LiveSequence:
    """A sequence that has not ended."""

    key: str
    prepared: Prepared
    #: Whether a client waits for the answer: the sequence goes ahead of bulk work.
    urgent: bool = False
    state: SequenceState = SequenceState.WAITING
    #: Generated tokens, without the stop token.
    tokens: list[Token] = field(default_factory=list)
    #: The text as it grows; None: the sequence has no stop strings, and is not followed.
    stream: TextStream | None = None
    #: Whether a client reads the answer while it grows.
    followed: bool = False
    published_tokens: int = 0
    published_characters: int = 0
    published_reasoning: int = 0
    published_calls: int = 0
    admitted: float = field(default_factory=time.perf_counter)
    first_token: float | None = None

    @property
    def longest(self) -> int:
        """Tokens that prompt and answer may grow to together."""
        return len(self.prepared.ids) + self.prepared.sampling.max_tokens

    @property
    def ids(self) -> list[int]:
        """Ids of the generated tokens."""
        return [token.id for token in self.tokens]

    @property
    def tokens_left(self) -> int:
        """Tokens that may still be generated."""
        return self.prepared.sampling.max_tokens - len(self.tokens)


@dataclass(frozen=True)
class TextDelta:
    """Text, thoughts and calls that a sequence has added since the last delta."""

    key: str
    text: str = ""
    #: Characters of the answer before this text.
    at: int = 0
    #: Log-probabilities of the tokens since the last delta, in OpenAI's shape; None: the request did not ask for them.
    logprobs: list[dict[str, Any]] | None = None
    #: The thoughts before this text, and the characters of the thoughts before these.
    reasoning: str = ""
    reasoning_at: int = 0
    #: The calls after this text, as `jobs.tools.calls_text` writes them, and the characters of calls before these.
    calls: str = ""
    calls_at: int = 0
    #: The number of the answer among those of its request, from 0.
    choice: int = 0


@dataclass(frozen=True)
class Outcome:
    """The end of the request `key`: a result or an error."""

    key: str
    result: Result | None = None
    error: CaptionqError | None = None
    #: Generated tokens, without the stop token.
    tokens: tuple[Token, ...] = ()

    @property
    def answer(self) -> Result:
        """The result. Raises the error of a request that failed."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Ids of the generated tokens."""
        return tuple(token.id for token in self.tokens)
