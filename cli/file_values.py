"""Values of options that are read from a file."""

from __future__ import annotations

import os
import tomllib
from typing import Any

import click


class TextFile(click.Path):
    """The text of a file."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the file. Raises click.BadParameter."""
        path = os.fsdecode(super().convert(value, param, ctx))
        try:
            with click.open_file(path, encoding="utf-8-sig") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{path} cannot be read as text: {error}.", param, ctx)


class TomlTables(TextFile):
    """The tables of a list in a TOML file."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the file, which may have nothing else. Raises click.BadParameter."""
        try:
            content = tomllib.loads(super().convert(value, param, ctx))
        except tomllib.TOMLDecodeError as error:
            self.fail(f"{value} is not valid TOML: {error}.", param, ctx)
        tables = content.pop(self._key, None)
        if content or not tables or not isinstance(tables, list):
            self.fail(f"{value} must have [[{self._key}]] tables and nothing else.", param, ctx)
        return tables
