"""Options for answers that are there already."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part


class ReuseOptions(Part):
    """Options that decide whether earlier answers are given again."""

    SECTION: ClassVar[str] = "Sampling"

    cache: bool = Field(
        default=True,
        description="Give the answer again that the same model gave to the same question about the same pixels.",
    )
    near_duplicates: bool = Field(
        default=False,
        description="Caption the first of several images that look the same, and give its text to the others.",
    )
