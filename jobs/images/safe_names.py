"""Names that came from outside, made fit to be shown and stored. They are labels: no file is ever called by them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

#: Characters of a label, but for the number that tells duplicates apart.
MAX_LABEL = 255
#: Control characters, line ends, marks that turn the direction of writing, and halves of characters: they would break a log
#: or a terminal, show another name than there is, or be refused by the database.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_parts(name: str) -> list[str]:
    """The folders and the file of a path of any system, without what leads out of a folder or cannot be shown."""
    parts = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", name).replace("\\", "/").split("/")
    if drive := _DRIVE.match(parts[0]):
        parts[0] = parts[0][drive.end() :]
    return [part for part in parts if part.strip() not in ("", ".", "..")]


def clean_label(name: str) -> str:
    """A relative path of at most `MAX_LABEL` characters; of a longer one the end is kept, which tells more."""
    label = "/".join(clean_parts(name)) or "file"
    return label if len(label) <= MAX_LABEL else f"…{label[1 - MAX_LABEL :]}"


def make_distinct(labels: Iterable[str]) -> list[str]:
    """The labels in their order, with a number in those that were there already: `a.jpg`, `a (2).jpg`."""
    used: set[str] = set()
    # Where the search for a free number goes on: twenty thousand equal labels take no longer than different ones.
    numbers: dict[str, int] = {}
    distinct: list[str] = []
    for label in labels:
        free = label
        while free in used:
            numbers[label] = numbers.get(label, 1) + 1
            stem, extension = os.path.splitext(label)  # noqa: PTH122
            free = f"{stem} ({numbers[label]}){extension}"
        used.add(free)
        distinct.append(free)
    return distinct
