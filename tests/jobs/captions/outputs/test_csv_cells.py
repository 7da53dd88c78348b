"""Cells of tables that spreadsheets open."""

from __future__ import annotations

import pytest

from jobs.captions.outputs.csv_cells import text_cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "- a list\n- of things",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        " =1",
        '"=1',
        "' \t=1",
        "\ufeff=1",
        "＝1",
        "＠x",
    ],
)
def test_a_text_that_could_run_begins_with_an_apostrophe(text: str) -> None:
    """Spreadsheets also look behind white space and quotes, and read the full-width forms."""
    assert text_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["A red circle.", "a=1", "1-2", "", " x", "'x'", None, 5, -5, 1.5])
def test_other_values_stay(value: object) -> None:
    """A number is no text, also if it is negative."""
    assert text_cell(value) == value
