"""Text from outside (names of files, answers of models, messages of other programs), made safe to show on a terminal.

A control character could clear the screen or fake a line, and a mark that turns the direction of writing disguises a name.
"""

from __future__ import annotations

import json
import re

#: Control characters, line ends, marks that turn the direction of writing, and halves of characters, by which Python stands for
#: the bytes of a name that is not UTF-8.
UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSHOWN_IN_LINES = re.compile(r"(?![\n\t])" + UNSHOWN.pattern)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def safe_text(text: str, *, lines: bool = False) -> str:
    r"""Write unshown characters as escapes: ESC as `\x1b`, a byte that is not UTF-8 as `\xe9`, a direction mark as `\u202e`.

    Args:
        text: any text.
        lines: leave line ends and tabs as they are.
    """
    return (_UNSHOWN_IN_LINES if lines else UNSHOWN).sub(lambda found: _escape(found[0]), text)


def safe_json(value: object) -> str:
    """Return the value as one line of JSON without unshown characters. A parser reads the same value."""
    return UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, default=str))


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # The half of a character that stands for this byte (PEP 383).
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
