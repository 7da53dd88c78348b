"""The ends of log files, and the lines that are added to them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.safe_text import safe_text

#: Bytes of a file's end in which its last lines are looked for.
TAIL_BYTES = 1_000_000
#: Seconds between two looks for new lines.
LOOK_EVERY = 0.5


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file, safe to show; none if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [safe_text(line) for line in lines[-count:]] if count else []


def follow(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each line that is added to one of the files, for ever, also after a rotation."""
    followed = [_FollowedFile(path) for path in paths]
    while True:
        for file in followed:
            for line in file.new_lines():
                yield file.path, safe_text(line)
        time.sleep(LOOK_EVERY)


class _FollowedFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode, self._place = self._now()
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Return the whole lines since the last call."""
        inode, size = self._now()
        if inode != self._inode or size < self._place:
            # Another file has this name since a rotation, or the file was emptied.
            self._inode, self._place, self._rest = inode, 0, b""
        if size == self._place:
            return []
        with self.path.open("rb") as file:
            file.seek(self._place)
            data = file.read()
        self._place += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _now(self) -> tuple[int, int]:
        try:
            status = os.stat(self.path)  # noqa: PTH116  # one call for both
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size
