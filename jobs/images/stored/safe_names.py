"""Names that came from outside, made safe to show and store. They are labels: no file ever gets such a name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from jobs.safe_text import UNSHOWN

#: Maximum characters of a label, without the number that distinguishes duplicates.
MAX_LABEL = 255
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_parts(name: str) -> list[str]:
    """Split a path of any system into its folders and file, without parts that lead out of a folder or cannot be shown."""
    parts = UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", name).replace("\\", "/").split("/")
    if drive := _DRIVE.match(parts[0]):
        parts[0] = parts[0][drive.end() :]
    return [part for part in parts if part.strip() not in ("", ".", "..")]


def clean_label(name: str) -> str:
    """Make a relative path of at most `MAX_LABEL` characters. Of a longer path the end is kept, which tells more."""
    label = "/".join(clean_parts(name)) or "file"
    return label if len(label) <= MAX_LABEL else f"…{label[1 - MAX_LABEL :]}"


def make_distinct(labels: Iterable[str]) -> list[str]:
    """Number repeated labels, and keep the order: `a.jpg`, `a (2).jpg`."""
    used: set[str] = set()
    # The last number of each label: twenty thousand equal labels take no longer than different labels.
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
