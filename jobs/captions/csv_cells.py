"""CSV that is safe to open in a spreadsheet: no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

#: First characters of formulas, in the full-width forms too.
_FORMULA = tuple("=+-@＝＋－＠")


def csv_line(values: Mapping[str, object], columns: Sequence[str]) -> str:
    """Return a line with the values of these columns; missing values are empty. RFC 4180."""
    line = io.StringIO()
    csv.writer(line).writerow([_safe(values.get(column)) for column in columns])
    return line.getvalue()


def _safe(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet could take for a formula, also behind white space."""
    if isinstance(value, str) and (value.lstrip().startswith(_FORMULA) or value[:1] in ("\t", "\r")):
        return f"'{value}"
    return value
