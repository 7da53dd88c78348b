"""Lines of CSV that are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from jobs.captions.spreadsheet_cells import text_cell


def csv_line(cells: Iterable[object]) -> str:
    """Return a line with its line end. An apostrophe goes before texts that a spreadsheet would run as a formula."""
    line = io.StringIO()
    csv.writer(line).writerow([_shown(cell) for cell in cells])
    return line.getvalue()


def _shown(cell: object) -> object:
    match cell:
        case bool():
            return "true" if cell else "false"
        case _:
            return text_cell(cell)
