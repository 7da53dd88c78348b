"""Options for the text that an image gets: the treatment of a text that is there, and how the answer becomes the file's text."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.options.answers.openers import OpenerOptions
from jobs.options.prompts.templates import TEXT_FIELDS, check_template, fields_of


class CompositionOptions(OpenerOptions):
    """Options that make the text of a file from an answer and the text that was there."""

    SECTION: ClassVar[str] = "Texts"

    existing: Literal["skip", "replace", "append", "prepend"] = Field(
        default="skip",
        description=(
            "Images that have a text file: skip them, replace the texts that captionq wrote, or put the new text after or "
            "before the text that is there."
        ),
    )
    force: bool = Field(default=False, description="With replace: also replace texts that you wrote or changed.")
    separator: str = Field(
        default=" ", max_length=100, description="Between the two texts of append and prepend; \\n is a line end."
    )
    prefix: str = Field(default="", max_length=10_000, description="Put this before each new text.")
    suffix: str = Field(default="", max_length=10_000, description="Put this after each new text.")
    trigger: str | None = Field(
        default=None, min_length=1, max_length=1_000, description="Begin each new text with this word and a comma."
    )
    template: str | None = Field(
        default=None,
        min_length=1,
        description='Make each new text from a template such as "{trigger}, {caption}".',
    )

    @field_validator("template")
    @classmethod
    def _check_template(cls, value: str | None) -> str | None:
        if value is not None:
            check_template(value, TEXT_FIELDS)
            if "caption" not in fields_of(value):
                raise ValueError("The template has no {caption}, so the answer would be lost.")
        return value

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.force and self.existing != "replace":
            raise PydanticCustomError("invalid_request_error", "force goes with existing: replace.")
        if self.template is not None and (self.trigger is None) == ("trigger" in fields_of(self.template)):
            raise PydanticCustomError(
                "invalid_request_error", "A trigger and a template go together if the template has {{trigger}}."
            )
        return self

    @property
    def joins(self) -> bool:
        """Whether the text that is there stays, and the new text is added to it."""
        return self.existing in ("append", "prepend")
