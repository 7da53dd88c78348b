"""The card of a model: the README of its repository, which begins with fields in YAML."""

from __future__ import annotations

import re
from pathlib import Path

CARD = "README.md"
#: Bytes of a card in which its fields are looked for.
_HEAD = 20_000
_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
#: A field of one line. A card may have any text: only a short plain value counts.
_FIELD = re.compile(r"^(license|license_name):[ \t]*[\"']?([\w.+-]{1,60})[\"']?[ \t]*\r?$", re.MULTILINE)


def licence_in(folder: Path) -> str | None:
    """Return the licence that the card in a model's folder names, as `apache-2.0`; None: there is no card, or it names none."""
    try:
        with (folder / CARD).open("rb") as file:
            head = file.read(_HEAD).decode(errors="replace")
    except OSError:
        return None
    if (front := _FRONT_MATTER.match(head)) is None:
        return None
    fields = dict(_FIELD.findall(front[1]))
    return fields.get("license_name") or fields.get("license")
