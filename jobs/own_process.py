"""Commands of further captionq processes, which import captionq's packages whatever PYTHONPATH and the current folder hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

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


def start_helper(module: str) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a process that runs `main(descriptor)` of a module, and return it with this end of their pipe."""
    # Every command imports this module, and few start a helper.
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    with theirs:
        descriptor = theirs.fileno()
        popen = subprocess.Popen(
            python_command(f"from {module} import main; main({descriptor})"),
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            # Libraries print what files and servers tell them.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in the terminal must reach only the caller, which then ends this process.
            start_new_session=True,
        )
    return popen, ours
