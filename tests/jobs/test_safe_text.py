"""Text for a terminal: nothing that steers it, and nothing lost."""

from __future__ import annotations

import json

import pytest

from jobs.safe_text import UNSHOWN, safe_json, safe_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 圖 \N{GRINNING FACE}.jpg", "plain é 圖 \N{GRINNING FACE}.jpg"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\tc\0\x7f", r"a\r\nb\tc\x00\x7f"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("\u202egnp.exe\u2066\u200f\u061c\u2028", r"\u202egnp.exe\u2066\u200f\u061c\u2028"),
        (b"caf\xe9.jpg".decode(errors="surrogateescape"), r"caf\xe9.jpg"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_unshown_characters_are_written_as_escapes(name: str, shown: str) -> None:
    """All other characters stay as they are."""
    assert safe_text(name) == shown


def test_lines_stay_lines_if_wanted() -> None:
    """An answer may have lines; a carriage return would overwrite its line."""
    assert safe_text("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


def test_json_holds_the_same_value_without_unshown_characters() -> None:
    """A parser reads exactly the text that was written, halves of characters too."""
    value = {"im\x9bage": ["\u202e\x1b\x7f", "é", "\udce9"]}
    line = safe_json(value)
    assert UNSHOWN.search(line) is None
    assert "é" in line
    assert json.loads(line) == value
