"""Options for the choice of images."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jobs.response_format import Part


class SelectionOptions(Part):
    """Options that choose the images of a run."""

    SECTION: ClassVar[str] = "Images"

    recursive: bool = Field(default=True, description="Search subfolders.")
