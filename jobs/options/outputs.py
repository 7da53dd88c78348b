"""Options for the files that a run writes."""

from __future__ import annotations

from typing import ClassVar

from jobs.response_format import Part


class OutputOptions(Part):
    """Options that choose the files of a run."""

    SECTION: ClassVar[str] = "Outputs"
