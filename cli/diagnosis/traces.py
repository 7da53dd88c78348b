"""Tracebacks in the logs, without what they say: only places in installed programs and classes of errors are kept."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

#: Bytes of a log's end in which tracebacks are looked for, and how many are kept.
_TAIL, MOST = 2_000_000, 10
_BEGIN = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s+(?:\| )*File "([^"]+)", line (\d+), in ([A-Za-z0-9_<>]+)$')
#: The line of the error: a class that is named as classes of errors are, with its package.
_ERROR = re.compile(r"^([A-Za-z_][A-Za-z0-9_.]{0,100}(?:Error|Exception|Exit|Interrupt|Warning|Timeout))(?::|$)")
#: captionq's own modules. Those of other folders of the same parent are not meant.
_OWN_FOLDER = Path(__file__).parents[2]
_OWN = ("captionq.py", "jobs/", "worker/", "api/", "cli/")


def tracebacks(log: Path) -> list[dict[str, object]]:
    """Return the last tracebacks of a log: places, and the class of the error; None: it has another form."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return list(_found(lines))[-MOST:]


def _found(lines: list[str]) -> Iterator[dict[str, object]]:
    frames: list[str] | None = None
    for line in lines:
        if line.strip() == _BEGIN:
            frames = []
        elif frames is not None and (frame := _FRAME.match(line)):
            place = _place(frame[1])
            frames.append("elsewhere" if place is None else f"{place}:{frame[2]} {frame[3]}")
        elif frames is not None and not line.startswith(" "):
            kind = _ERROR.match(line)
            yield {"error": kind[1] if kind else None, "frames": frames}
            frames = None


def _place(path: str) -> str | None:
    """Return the path of a module below the folder of its package; None: the file was not installed."""
    own = path.removeprefix(f"{_OWN_FOLDER}/")
    if own != path and own.startswith(_OWN):
        return own
    for folder in dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")):
        if path.startswith(f"{folder}/"):
            return path.removeprefix(f"{folder}/")
    return None
