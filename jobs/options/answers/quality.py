"""Options for answers that look wrong."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part

#: Most times that the question about one image is asked again because of its answers.
MAX_QUALITY_RETRIES = 5


class QualityOptions(Part):
    """Options for the treatment of answers that are cut off, empty, loops or refusals."""

    SECTION: ClassVar[str] = "Quality"

    quality_retries: int = Field(
        default=2,
        ge=0,
        le=MAX_QUALITY_RETRIES,
        description=(
            "How often to ask again, with changed settings, when an answer is cut off, empty, repeats itself, refuses or is in "
            "another language than the prompt asks for."
        ),
    )
