"""Text from a model or a file name, made safe for a terminal."""

from __future__ import annotations

import unicodedata

#: Categories of characters that control a terminal or the direction of its text: controls, line and paragraph separators.
_CONTROLS = {"Cc", "Zl", "Zp"}
#: Marks of direction: letters after them may be shown in another order than they stand in.
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_DIRECTION_MARKS = "\u061c\u200e\u200f"


def safe_text(text: str, *, keep_newlines: bool = False) -> str:
    """Return the text with an escape (`\\x1b`, `\\u202e`) for each character that could control a terminal.

    Args:
        keep_newlines: keep line feeds and tabs, for texts of several lines.
    """
    kept = "\n\t" if keep_newlines else ""
    return "".join(one if one in kept or not _is_control(one) else _escape(one) for one in text)


def _is_control(character: str) -> bool:
    return (
        unicodedata.category(character) in _CONTROLS
        or unicodedata.bidirectional(character) in _DIRECTIONS
        or character in _DIRECTION_MARKS
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
