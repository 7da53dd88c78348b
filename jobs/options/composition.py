"""Options for the text that an image gets: what happens to a text that is there, and how the answer becomes the file's text."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from jobs.response_format import Part


class CompositionOptions(Part):
    """Options that make the text of a file from an answer and the text that was there."""

    SECTION: ClassVar[str] = "Texts"

    existing: Literal["skip", "replace"] = Field(
        default="skip",
        description="Images that have a text file: skip them, or replace the texts that captionq wrote.",
    )
    force: bool = Field(default=False, description="With replace: also replace texts that you wrote or changed.")

    @model_validator(mode="after")
    def _force_only_to_replace(self) -> Self:
        if self.force and self.existing != "replace":
            raise PydanticCustomError("invalid_request_error", "force goes with existing: replace.")
        return self
