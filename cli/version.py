"""The version of this installation, and the commit that it was built from."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

#: `hatch_build.py` writes it into wheels and sdists.
_COMMIT_FILE = Path(__file__).with_name("commit.txt")


def version_line() -> str:
    """Return the version, and the commit if it is known: `1.2.0 (60f974e8c1d2)`."""
    known = commit()
    return version("captionq") + (f" ({known})" if known else "")


def commit() -> str | None:
    """Return the commit of the package, or of the checkout that runs; None: it is not known."""
    try:
        return _COMMIT_FILE.read_text().strip()
    except FileNotFoundError:
        return commit_of_checkout(_COMMIT_FILE.parents[1])


def commit_of_checkout(root: Path) -> str | None:
    """Return the commit, with `-dirty` if files were changed since; None: the folder is no checkout, or git does not answer."""
    # Without this look git would name the commit of any project around the folder.
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        asked = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None
