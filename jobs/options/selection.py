"""Options for the choice of images."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from jobs.response_format import Part

Pattern = Annotated[str, Field(max_length=1024)]


class SelectionOptions(Part):
    """Options that choose the images of a run."""

    SECTION: ClassVar[str] = "Images"

    exclude: tuple[Pattern, ...] = Field(
        default=(),
        max_length=100,
        description="Leave out files and folders, as in a .gitignore: '*_edit.jpg', 'thumbs/', '/old'; may be repeated.",
    )
    recursive: bool = Field(default=True, description="Search subfolders.")
