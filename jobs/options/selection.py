"""Options for the choice of images."""

from __future__ import annotations

import time
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from jobs.ages import point_in_time
from jobs.answer_format.response_format import Part

Pattern = Annotated[str, Field(max_length=1024)]


class SelectionOptions(Part):
    """Options that choose the images of a run."""

    SECTION: ClassVar[str] = "Images"

    include: tuple[Pattern, ...] = Field(
        default=(),
        max_length=100,
        description="Take only files that match, as in a .gitignore: '*.heic', '2024/'; may be repeated.",
    )
    exclude: tuple[Pattern, ...] = Field(
        default=(),
        max_length=100,
        description="Leave out files and folders, as in a .gitignore: '*_edit.jpg', 'thumbs/', '/old'; may be repeated.",
    )
    newer_than: str | None = Field(
        default=None,
        max_length=40,
        description="Take only files that were changed since a date or within an age, such as 2026-11-01, 7d or 12h.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Stop after this many images that need a text; the next run takes the next ones. A table of questions has at "
            "most this many rows."
        ),
    )
    order: Literal["name", "date", "random"] = Field(
        default="name",
        description="Which images come first: by name, the latest changes, or a shuffle that is the same in each run.",
    )
    recursive: bool = Field(default=True, description="Search subfolders.")

    @field_validator("newer_than")
    @classmethod
    def _check_newer_than(cls, value: str | None) -> str | None:
        if value is not None and point_in_time(value, time.time()) is None:
            raise ValueError(f"{value!r} is neither an age, such as 12h, 7d or 4w, nor a date such as 2026-11-01.")
        return value
