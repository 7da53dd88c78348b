"""Git for releases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What a clone does not have from its original: who commits, and how tags are signed.
_OWN_SETTINGS = ("user.name", "user.email", "user.signingkey", "gpg.format", "commit.gpgsign", "tag.gpgsign")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output. Exits if git fails, after git's own words."""
    done = _asked(folder, arguments)
    if done.returncode:
        sys.exit(f"git {arguments[0]} failed, so nothing was released.")
    return done.stdout.strip()


def clone(root: Path, target: Path) -> Path:
    """Clone the checkout's commit, and return the clone's folder."""
    git(root, "clone", "--quiet", "--shared", str(root), str(target))
    for name in _OWN_SETTINGS:
        asked = _asked(root, ("config", "--get", name))
        if asked.returncode == 0:
            git(target, "config", name, asked.stdout.strip())
    return target


def _asked(folder: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
