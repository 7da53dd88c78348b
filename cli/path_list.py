"""A list of paths on standard input, one a line or separated by NUL."""

from __future__ import annotations

import os
from pathlib import Path

from cli.named_paths import listed_path


def read_path_list(content: bytes) -> list[Path]:
    """Return the paths of a list. If it has a NUL, paths end with NULs and may have line ends in their names.

    Paths need not be valid UTF-8, and need not exist: the job of a missing file reports it.
    """
    separator = b"\0" if b"\0" in content else b"\n"
    return [listed_path(Path(os.fsdecode(entry))) for entry in content.split(separator) if entry]
