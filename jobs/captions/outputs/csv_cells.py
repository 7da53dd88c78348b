"""Lines of CSV that are safe to open in a spreadsheet: a text from a picture or a file name must not run as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

#: A beginning that a spreadsheet reads as a formula, also after white space and quotes, which some programs strip. The full-width
#: forms count as well (OWASP, CSV injection).
_FORMULA = re.compile(r"[\s'\"\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


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


def text_cell(value: object) -> object:
    """Return the value of a cell; a text that could run as a formula begins with an apostrophe, which means text."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
