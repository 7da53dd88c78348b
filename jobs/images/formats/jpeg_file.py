"""A JPEG without the segments that cannot be read, decoded also if its last bytes are missing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL.JpegImagePlugin import JpegImageFile

from jobs.images.formats.spliced_file import END, Part, SplicedFile

#: A marker: neither a stuffed byte nor a restart (ITU T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
#: Bytes that the decoder reads at a time, and bytes in which a marker is looked for.
_BUFFER_BYTES, _PIECE = 1 << 16, 1 << 12
_SOS, _DQT, _APP0, _APP15, _COM = 0xDA, 0xDB, 0xE0, 0xEF, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers of segments that decode the pixels: tables, frames, scans, intervals.
_TABLES = frozenset(range(0xC0, 0xD0)) | frozenset(range(0xDA, 0xE0))
_ENDS = b"\xff\xd9"
#: Beginnings of application segments that change how the pixels look, and the fewest bytes of such a segment.
_APPLICATIONS = {
    (0xE0, b"JFIF\0"): 14,
    (0xE1, b"Exif\0\0"): 6,
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"): 29,
    (0xE2, b"ICC_PROFILE\0"): 14,
    (0xEE, b"Adobe"): 12,
}
_BEGINNING_BYTES = 40
#: The marker and the beginning of segments with Photoshop's resources, one of which is IPTC.
_APP13, _PHOTOSHOP = 0xED, b"Photoshop 3.0\0"


class JpegFile(JpegImageFile):
    """A JPEG that ends where its bytes end: `filler`, then the end of the image, stand for bytes that are missing."""

    format = "JPEG"

    def __init__(self, file: BinaryIO, *, filler: bytes = b"") -> None:
        #: The file without the segments that cannot be read.
        self.source = io.BufferedReader(SplicedFile(file, iter(_wanted(file))), _BUFFER_BYTES)
        self._file = file
        self._filler = filler
        #: Whether the decoder asked for more bytes than the file has.
        self.ended_early = False
        super().__init__(self.source)

    def with_filler(self, filler: bytes) -> JpegFile:
        """Open the same file again with other bytes in the place of missing ones."""
        return JpegFile(self._file, filler=filler)

    def photoshop_resources(self) -> dict[int, bytes]:
        """Return Photoshop's resources by their numbers. Pillow does not see them: a damaged one would cost it the picture."""
        data = b""
        for kind, start, end in _segments(self._file, doubting=False):
            if kind == _SOS:
                break
            if kind == _APP13 and (segment := _read(self._file, start + 4, end - start - 4)).startswith(_PHOTOSHOP):
                data += segment.removeprefix(_PHOTOSHOP)
        return _resources(data)

    def load_read(self, read_bytes: int) -> bytes:
        """Return the next bytes for the decoder: first those of the file."""
        data = super().load_read(read_bytes)
        if data or self.ended_early:
            return data
        self.ended_early = True
        return self._filler + _ENDS


def _wanted(file: BinaryIO) -> list[Part]:
    """Return the parts that the decoder has to see. The lengths of application segments are doubted if they lead nowhere."""
    parts, complete = _header(file, doubting=False)
    if complete:
        return parts
    doubted, complete = _header(file, doubting=True)
    return doubted if complete else parts


def _header(file: BinaryIO, *, doubting: bool) -> tuple[list[Part], bool]:
    """Return the parts up to the end, and whether tables, a frame and a scan were among them.

    Args:
        doubting: Look for the next marker within a segment of an application if no marker follows the segment.
    """
    parts: list[Part] = [(0, 2)]
    kinds: set[int] = set()
    for kind, start, end in _segments(file, doubting=doubting):
        kinds.add(kind)
        if kind == _SOS:
            complete = _DQT in kinds and not kinds.isdisjoint(_FRAMES)
            return [*parts, (start, END)], complete
        if kind in _TABLES or _changes_looks(file, kind, start, end):
            parts.append((start, end))
    return parts, False


def _segments(file: BinaryIO, *, doubting: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, the first byte and the end of each segment of the header."""
    position = 2
    while (found := _next_marker(file, position)) is not None:
        start, kind = found
        position = start + 2
        if kind not in _TABLES and not _APP0 <= kind <= _APP15 and kind != _COM:
            continue
        length = int.from_bytes(_read(file, position, 2))
        end = position + length
        if length >= 2 and (kind in _TABLES or not doubting or _read(file, end, 1) == b"\xff"):
            yield kind, start, end
            position = end


def _next_marker(file: BinaryIO, position: int) -> tuple[int, int] | None:
    """Find the next marker that is not a restart: where its last two bytes begin, and its code."""
    while data := _read(file, position, _PIECE):
        if found := _MARKER.search(data):
            return position + found.end() - 2, data[found.end() - 1]
        # The last byte may begin a marker.
        position += max(1, len(data) - 1)
    return None


def _changes_looks(file: BinaryIO, kind: int, start: int, end: int) -> bool:
    beginning = _read(file, start + 4, min(_BEGINNING_BYTES, end - start - 4))
    return any(
        kind == marker and beginning.startswith(words) and end - start - 4 >= fewest
        for (marker, words), fewest in _APPLICATIONS.items()
    )


def _resources(data: bytes) -> dict[int, bytes]:
    """Split image resource blocks (Adobe Photoshop File Formats): sign, number, name, size, content. Sizes are at even bytes."""
    found: dict[int, bytes] = {}
    position = 0
    while data[position : position + 4] == b"8BIM":
        number = int.from_bytes(data[position + 4 : position + 6])
        position += 7 + int.from_bytes(data[position + 6 : position + 7])
        position += position % 2
        size = int.from_bytes(data[position : position + 4])
        # Of two with one number, the second is damage.
        found.setdefault(number, data[position + 4 : position + 4 + size])
        position += 4 + size + size % 2
    return found


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
