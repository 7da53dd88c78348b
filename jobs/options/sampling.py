"""Options for the choice of tokens, and for the end of the answer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part
from jobs.request_defaults import DEFAULT_MAX_TOKENS, MAX_TOKENS
from jobs.sampling import MAX_STOPS, Sampling, StopString


class SamplingOptions(Part):
    """Options that make a `Sampling`."""

    SECTION: ClassVar[str] = "Sampling"

    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1, le=MAX_TOKENS, description="Most tokens per answer.")
    temperature: float = Field(
        default=0.0, ge=0, le=2, description="0: always the most likely token; higher: more varied."
    )
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Sample from the most likely tokens whose probabilities add up to this (nucleus sampling).",
    )
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Make varied answers repeatable.")
    stop: tuple[StopString, ...] = Field(
        default=(), max_length=MAX_STOPS, description="End the answer before this text; up to four."
    )

    @property
    def sampling(self) -> Sampling:
        """The sampling of each request."""
        return Sampling(**self.model_dump(include=set(SamplingOptions.model_fields)))
