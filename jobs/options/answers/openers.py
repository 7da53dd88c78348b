"""The option for the words around a caption."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part


class OpenerOptions(Part):
    """Option that removes the words around a caption."""

    SECTION: ClassVar[str] = "Texts"

    strip_openers: bool | None = Field(
        default=None,
        description=(
            'Remove openers ("The image shows"), Markdown and surrounding quotes from each new text. Presets that describe '
            "the image do so anyway."
        ),
    )
