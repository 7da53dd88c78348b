"""Pictures in the terminal, by the protocols of kitty (also Ghostty) and iTerm2 (also WezTerm)."""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path

#: Longest side of a picture that is shown, in pixels.
SIDE = 320
#: kitty's limit on the data of one escape sequence.
_CHUNK = 4096


def inline_image(path: Path) -> str | None:
    """Return the escape sequences that show an image file; None: the terminal or the file cannot."""
    protocol = _protocol()
    if protocol is None:
        return None
    # Imported here: most terminals cannot show a picture.
    from jobs.configuration.read_settings import read_settings
    from jobs.errors import ImageError
    from worker.pixels.decode import decode

    try:
        image = decode(path, read_settings())
    except ImageError:
        # The job's own reason stands in the table.
        return None
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return _kitty(data) if protocol == "kitty" else f"\x1b]1337;File=inline=1;size={len(file.getvalue())}:{data}\a"


def _protocol() -> str | None:
    """Name the protocol of the terminal; None: it has none. Multiplexers do not pass pictures on."""
    if not sys.stdout.isatty() or os.environ.get("TMUX") or os.environ.get("STY"):
        return None
    program = os.environ.get("TERM_PROGRAM", "")
    if program in ("iTerm.app", "WezTerm"):
        return "iterm"
    return "kitty" if os.environ.get("KITTY_WINDOW_ID") or program == "ghostty" else None


def _kitty(data: str) -> str:
    chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    sequences = []
    for number, chunk in enumerate(chunks):
        first = "a=T,f=100," if number == 0 else ""
        sequences.append(f"\x1b_G{first}m={int(number < len(chunks) - 1)};{chunk}\x1b\\")
    return "".join(sequences)
