"""The types of arguments and options that are paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class TypedPath(click.Path):
    """A path that a person typed. An empty one is refused: Python takes it for the current folder."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(path_type=Path, **attributes)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises click.BadParameter."""
        if value == "":
            self.fail("The path is empty. Is it a variable of the shell that is not set?", param, ctx)
        return super().convert(value, param, ctx)


class OutputFile(TypedPath):
    """A file that the command will write, perhaps after hours: its folder is there from the beginning."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises click.BadParameter."""
        path = Path(super().convert(value, param, ctx))
        if not path.parent.is_dir():
            self.fail(f"The folder {path.parent} does not exist.", param, ctx)
        return path
