"""A row from its admission to its end, and its forms on the way: prepared in plain arrays, then embedded for the model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from worker.models.detokenizer import TextStream
from worker.models.inputs import Prepared
from worker.sampling.tokens import Token


@dataclass(frozen=True)
class TextDelta:
    """What a row has said since the last time it was asked."""

    key: str
    text: str
    #: Characters that it had said before.
    at: int
    #: Of the tokens since then, as JSON in OpenAI's shape, if asked for.
    logprobs: str | None = None


@dataclass
class LiveSequence:
    """A row from its admission to its end."""

    key: str
    prepared: Prepared
    #: Somebody waits for it: it does not wait for bulk work.
    urgent: bool = False
    #: What has come out so far, without the stop token.
    tokens: list[Token] = field(default_factory=list)
    #: Its text as it grows: where stop strings are looked for, or somebody reads along.
    stream: TextStream | None = None
    #: Whether somebody reads along, and how many of its tokens were told.
    followed: bool = False
    told: int = 0
    told_characters: int = 0
    #: How often a group or a batch broke with this row in it.
    faults: int = 0
    #: Whether it has to run by itself, and until it has how many ids.
    alone: bool = False
    alone_until: int = 0
    admitted: float = field(default_factory=time.perf_counter)
    first_token: float | None = None

    @property
    def longest(self) -> int:
        """Tokens that it may grow to."""
        return len(self.prepared.ids) + self.prepared.sampling.max_tokens

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]
