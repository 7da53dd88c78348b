"""The map of the rooms in docs/architecture.md, beside the tree."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = ("jobs", "worker", "api", "cli")


def test_every_package_has_a_line_on_the_map() -> None:
    """A room that was added, moved or removed is missed or found here; folders without Python code have no line."""
    text = (ROOT / "docs/architecture.md").read_text()
    lines = re.findall(r"^\| `((?:jobs|worker|api|cli)/[\w/]*)` \|", text, re.MULTILINE)
    folders = {path.parent.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    # Migrations have one line for the runner and their versions.
    rooms = {f"{folder}/" for folder in folders if folder.name != "versions"}
    assert sorted(lines) == sorted(rooms)


def test_every_file_that_the_map_names_exists() -> None:
    """Paths with a file name stand between backticks, from the root of the repository."""
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`((?:jobs|worker|api|cli|tests|tools|docs)/[\w/.]+\.\w+)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_no_file_is_too_long_and_no_folder_is_crowded() -> None:
    """A file has at most 250 lines, and a folder at most 15 modules, so that a newcomer finds the way."""
    modules = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py") if path.name != "__init__.py"]
    long = {str(path.relative_to(ROOT)) for path in modules if len(path.read_text().splitlines()) > 250}
    assert long == set()
    folders = [path.parent for path in modules if path.parent.name != "versions"]
    assert {str(folder.relative_to(ROOT)) for folder in folders if folders.count(folder) > 15} == set()
