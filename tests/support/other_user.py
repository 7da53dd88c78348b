"""Code that runs as another user than root, whom no permission stops."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Drops the rights of root; the number is that of `nobody`.
_DROP = "\nimport os, sys\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"


def run_without_rights(imports: str, code: str, *arguments: str) -> str:
    """Run Python code in a process that permissions stop, and return its output.

    Args:
        imports: statements that run before, because the other user may not be allowed to read the modules.
        code: uses `sys.argv[1:]`, the arguments.
    """
    command = [sys.executable, "-c", imports + _DROP + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@contextmanager
def read_only_folder() -> Iterator[Path]:
    """Provide a folder called `pictures` that every user may read and none but root may write to."""
    # The folders of pytest are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "pictures"
        folder.mkdir()
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
