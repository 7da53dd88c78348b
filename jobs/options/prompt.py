"""Options for the prompt."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from jobs.request_defaults import DEFAULT_PRESET, preset
from jobs.response_format import Part


class PromptOptions(Part):
    """Options that make the prompt of each image."""

    SECTION: ClassVar[str] = "Prompt"

    prompt: str | None = Field(default=None, min_length=1, description="Prompt for each image; in place of a preset.")
    preset: Literal["describe", "short", "detailed", "alt-text", "tags"] | None = Field(
        default=None, description=f"A ready-made prompt; {DEFAULT_PRESET} if there is no prompt."
    )

    @model_validator(mode="after")
    def _prompt_or_preset(self) -> Self:
        if self.prompt is not None and self.preset is not None:
            raise PydanticCustomError("invalid_request_error", "Give either a prompt or a preset, not both.")
        return self

    @property
    def wording(self) -> str:
        """The prompt's text."""
        return self.prompt or preset(self.preset or DEFAULT_PRESET)
