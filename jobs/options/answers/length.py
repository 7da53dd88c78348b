"""Options for the length of the answer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part


class LengthOptions(Part):
    """Options that keep free text short: the prompt asks for the limits, and longer answers are cut."""

    SECTION: ClassVar[str] = "Answer"

    max_words: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Ask for at most this many words, and cut longer answers, at the end of a sentence if possible.",
    )
    max_characters: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description=(
            "Ask for at most this many characters, and cut longer answers, at the end of a sentence or a word. The preset "
            "alt-text allows 125."
        ),
    )
