"""docs/models.md: a table of what was measured."""

from __future__ import annotations

from pathlib import Path

from tools.families.measuring import Measured

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def write_page(rows: dict[str, Measured]) -> None:
    """Write the page from one row a family."""
    PAGE.write_text("")
