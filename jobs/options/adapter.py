"""The option for an adapter of the model."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part


class AdapterOptions(Part):
    """Option that puts an adapter on the run's model."""

    SECTION: ClassVar[str] = "Sampling"

    adapter: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Put this LoRA on the model: a folder, or a Hugging Face id, with weights made for mlx.",
    )
