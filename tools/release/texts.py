"""The files that name the version: pyproject.toml and CHANGELOG.md."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path

_HEADING = "## Unreleased\n"


def current_version(root: Path) -> str:
    """Return the version in pyproject.toml."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return version


def unreleased(root: Path) -> str:
    """Return the entries of the changelog that no version has yet; empty: there are none. Raises ValueError."""
    text = (root / "CHANGELOG.md").read_text()
    return re.split(r"^## ", text[text.index(_HEADING) + len(_HEADING) :], maxsplit=1, flags=re.MULTILINE)[0].strip()


def set_version(root: Path, version: str) -> str:
    """Write the version into both files, and return its entries of the changelog."""
    entries = unreleased(root)
    changelog, project = root / "CHANGELOG.md", root / "pyproject.toml"
    today = datetime.datetime.now(datetime.UTC).date()
    changelog.write_text(changelog.read_text().replace(_HEADING, f"{_HEADING}\n## {version} - {today}\n", 1))
    project.write_text(
        re.sub(r'^version = "[^"]+"$', f'version = "{version}"', project.read_text(), count=1, flags=re.MULTILINE)
    )
    return entries
