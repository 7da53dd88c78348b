"""Options for the turn of a run among other runs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from jobs.answer_format.response_format import Part

#: The place of a run among others.
Priority = Annotated[int, Field(ge=-100, le=100)]


class TurnOptions(Part):
    """Options that decide when a run has its turn."""

    SECTION: ClassVar[str] = "Queue"

    priority: Priority = Field(
        default=0,
        description="Go ahead of all runs with a lower number; runs with the same number take turns, an image each.",
    )
