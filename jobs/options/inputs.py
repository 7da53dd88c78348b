"""Options for files that hold several pictures."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part
from jobs.request_defaults import MAX_FRAMES


class InputOptions(Part):
    """Options that decide how much of a file is shown."""

    SECTION: ClassVar[str] = "Images"

    frames: int = Field(
        default=1,
        ge=1,
        le=MAX_FRAMES,
        description="Frames of each video, evenly spaced, or first pages of each PDF, that one text is about.",
    )
