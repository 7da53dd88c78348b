"""Options for the prompt."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.answer_format.response_format import Part
from jobs.errors import InvalidRequestError
from jobs.options.from_file import FromFile
from jobs.options.prompts.presets import DEFAULT_PRESET, find_preset
from jobs.options.prompts.weighted_prompts import WeightedPrompt


class PromptOptions(Part):
    """Options that make the prompt of each image."""

    SECTION: ClassVar[str] = "Prompt"

    prompt: str | None = Field(default=None, min_length=1, description="Prompt for each image; in place of a preset.")
    preset: str | None = Field(
        default=None,
        description=f"A ready-made prompt (captionq presets); {DEFAULT_PRESET} if there is no prompt.",
    )
    prompts: Annotated[tuple[WeightedPrompt, ...], FromFile(tables="prompts")] = Field(
        default=(),
        max_length=100,
        description=(
            "Several prompts with weights, of which each image gets one, the same in every run: [[prompts]] with prompt and "
            "weight."
        ),
    )
    system: str | None = Field(default=None, min_length=1, description="System message ahead of each prompt.")

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                find_preset(value)
            except InvalidRequestError as error:
                raise PydanticCustomError("invalid_request_error", "{reason}", {"reason": error.message}) from error
        return value

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        values = {"a prompt": self.prompt, "a preset": self.preset, "several prompts": self.prompts or None}
        given = [name for name, value in values.items() if value is not None]
        if len(given) > 1:
            raise PydanticCustomError(
                "invalid_request_error",
                "Give either {one} or {other}, not both.",
                {"one": given[0], "other": given[1]},
            )
        return self
