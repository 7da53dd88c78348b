"""What has to be true before a release is made."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.version import Version

from tools.release.git import git
from tools.release.texts import current_version, unreleased


def check(root: Path, version: str) -> None:
    """Exit with a sentence if the version cannot be released from this checkout."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"{version!r} is no version. Write three numbers: make release VERSION=1.2.0")
    if Version(version) < Version(current_version(root)):
        sys.exit(f"{version} is older than {current_version(root)}, the version in pyproject.toml.")
    if git(root, "tag", "--list", f"v{version}") or f"\n## {version} " in (root / "CHANGELOG.md").read_text():
        sys.exit(f"{version} was released: there is its tag v{version}, or its heading in CHANGELOG.md.")
    if changed := git(root, "status", "--porcelain"):
        sys.exit(f"The checkout has changes. Commit or remove them first:\n{changed}")
    if not unreleased(root):
        sys.exit("CHANGELOG.md has nothing under 'Unreleased'. Say there what is new.")
