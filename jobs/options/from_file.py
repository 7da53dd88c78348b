"""The mark of options whose values are too long to type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FromFile:
    """Mark of a field whose option of the command line takes a file. A body of HTTP holds the value itself."""

    #: The value is this list of tables in a TOML file; None: the value is the text of the file.
    tables: str | None = None
