"""Cells of tables that spreadsheets open: a text from a picture or a file name must not run as a formula."""

from __future__ import annotations

import re

#: A beginning that a spreadsheet reads as a formula, also after white space and quotes, which some programs strip. The full-width
#: forms count as well (OWASP, CSV injection).
_FORMULA = re.compile(r"[\s'\"\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def text_cell(value: object) -> object:
    """Return the value of a cell; a text that could run as a formula begins with an apostrophe, which means text."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
