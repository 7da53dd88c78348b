"""The setting `path_map`: pairs of folders, as text, as JSON, or as a table of the configuration file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping


def parsed_path_map(value: object) -> dict[str, str]:
    """Return the pairs of a path map: the folder in addresses, and its place on this machine. Raises ValueError."""
    pairs = value if isinstance(value, Mapping) else _from_text(str(value).strip())
    cleaned: dict[str, str] = {}
    for named, here in pairs.items():
        # A number of a JSON object is no absolute path either.
        cleaned[_cleaned(str(named))] = _cleaned(str(here))
    if len(set(cleaned.values())) < len(cleaned):
        raise ValueError("two names stand for one folder, so a file there would have two addresses")
    return cleaned


def _from_text(text: str) -> Mapping[str, object]:
    if text.startswith("{"):
        pairs = json.loads(text)
        assert isinstance(pairs, dict)
        return pairs
    found: dict[str, object] = {}
    for pair in filter(None, (pair.strip() for pair in text.split(";"))):
        named, separator, here = pair.partition("=")
        if not separator:
            raise ValueError(f"'{pair}' has no =; write pairs such as /Volumes/Photos=/mnt/photos")
        found[named.strip()] = here.strip()
    return found


def _cleaned(folder: str) -> str:
    """Return the folder without a slash at its end, and without `..`. Raises ValueError for one that is not absolute."""
    folder = os.path.expanduser(folder)  # noqa: PTH111  # as text: the other half of the pair may be a folder of another system
    if not folder.startswith("/") or os.path.normpath(folder) == "/":
        raise ValueError(f"'{folder}' is not a folder with an absolute path")
    return os.path.normpath(folder)
