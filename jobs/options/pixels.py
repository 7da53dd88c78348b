"""Options for the pixels that the model sees."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from jobs.answer_format.response_format import Part
from jobs.requests import LEAST_PIXELS, MOST_PIXELS


class PixelOptions(Part):
    """Options that scale each image. Vision and prefill take time for each pixel, so fewer pixels are the first way to speed."""

    SECTION: ClassVar[str] = "Pixels"

    max_pixels: int | None = Field(
        default=None,
        ge=LEAST_PIXELS,
        le=MOST_PIXELS,
        description="Scale each image down to this many pixels, in place of CAPTIONQ_MAX_PIXELS: fewer are faster.",
    )
    detail: Literal["auto", "low", "high"] = Field(
        default="auto", description="low: at most 512x512 pixels; auto and high: as many as max-pixels says."
    )
