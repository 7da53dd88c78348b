"""Commands of further captionq processes, which import captionq's packages whatever PYTHONPATH and the current folder hold."""

from __future__ import annotations

import sys
from pathlib import Path

_FOLDER = str(Path(__file__).resolve().parents[1])
# -P keeps the current folder out. captionq's folder comes first only until its finder is installed: it may be site-packages,
# where another package may have the name of a module of the standard library.
_BEGIN = f"import sys; sys.path.insert(0, {_FOLDER!r}); import captionq; del sys.path[0]; "


def python_command(code: str, *arguments: str) -> list[str]:
    """Return the command of a process that runs Python code which imports captionq's packages."""
    return [sys.executable, "-P", "-c", _BEGIN + code, *arguments]


def captionq_command(*arguments: str) -> list[str]:
    """Return the command of a process that runs `captionq` with these arguments."""
    return python_command("captionq.main()", *arguments)
