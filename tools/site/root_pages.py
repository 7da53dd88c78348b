"""Pages from the files at the root of the repository, which people also read where they are."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
#: Addresses in the site by the names of files.
_WHOLE_FILES = {"CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}


def root_pages() -> dict[str, str]:
    """Return the pages by their addresses."""
    pages = {address: _moved((_ROOT / name).read_text(), "") for name, address in _WHOLE_FILES.items()}
    return pages | {"reference/settings.md": _moved(f"# Settings\n{_section('README.md', 'Settings')}", "../")}


def _section(name: str, title: str) -> str:
    """Return what stands below a heading of a file, up to the next one. Raises LookupError."""
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", (_ROOT / name).read_text(), re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise LookupError(f"{name} has no section {title!r}.")
    return found[1]


def _moved(text: str, up: str) -> str:
    """Return the text with its links into docs/ as they are from another place; `up`: from there to the site's root."""
    return text.replace("](docs/", f"]({up}")
