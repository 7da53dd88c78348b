"""A file that is made of parts of another file, for a decoder that must not see the other parts."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

#: A part of a file: its first byte, and the byte after its last one. The last part may end at `END`.
Part: TypeAlias = tuple[int, int]
#: The end of a part that reaches to the end of the file.
END = 1 << 62


class SplicedFile(io.RawIOBase):
    """Parts of a file, one after the other. Nothing is copied; the parts are looked for when they are read."""

    def __init__(self, file: BinaryIO, parts: Iterator[Part]) -> None:
        self._file = file
        self._coming = parts
        self._parts: list[Part] = []
        #: The position of each part in this file.
        self._starts: list[int] = []
        self._end = 0
        self._position = 0

    def readable(self) -> bool:
        """Say that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Say that the file can be read at any position."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, counted from the beginning or from the current position."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known before it is read")
        self._position = max(0, offset + (self._position if whence == io.SEEK_CUR else 0))
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read bytes of one part; return their number, 0 at the end."""
        while self._position >= self._end:
            part = next(self._coming, None)
            if part is None:
                return 0
            self._add(part)
        number = bisect_right(self._starts, self._position) - 1
        start, end = self._parts[number]
        offset = start + self._position - self._starts[number]
        self._file.seek(offset)
        count: int = self._file.readinto(memoryview(buffer)[: end - offset])  # type: ignore[attr-defined]
        self._position += count
        return count

    def _add(self, part: Part) -> None:
        start, end = part
        if self._parts and self._parts[-1][1] == start:
            self._parts[-1] = (self._parts[-1][0], end)
        else:
            self._parts.append(part)
            self._starts.append(self._end)
        self._end += end - start
