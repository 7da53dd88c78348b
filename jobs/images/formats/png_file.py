"""A PNG without the chunks that cannot be read: the chunks around the pixels never decide whether they can be read."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL.PngImagePlugin import PngImageFile, PngStream

from jobs.images.formats.spliced_file import Part, SplicedFile

_SIGNATURE_BYTES = 8
#: Bytes of a chunk's length and type, and of its checksum.
_HEAD_BYTES, _CHECKSUM_BYTES = 8, 4
#: Bytes that are read of the file at a time.
_BUFFER_BYTES = 1 << 16
#: Most bytes of a chunk that is no pixels.
_MOST = 8 << 20
_PIXELS = (b"IHDR", b"IDAT", b"IEND")
#: The colour type in the header, and the type of an image with a palette.
_COLOUR_AT, _PALETTE_COLOUR = 9, 3
#: Chunks that change how the pixels look, and their lengths, if their kind has only one.
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"iCCP": None, b"eXIf": None, b"sBIT": None}
#: Lengths of `tRNS` by the colour type: a grey value, a colour.
_TRANSPARENCY_LENGTHS = {0: 2, 2: 6}
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
#: Keywords of texts that may hold the orientation.
_KEYWORDS = (b"Raw profile type exif", b"XML:com.adobe.xmp", b"exif")
_KEYWORD_BYTES = 80


def open_png(file: BinaryIO) -> PngImageFile:
    """Open a PNG. Only its pixels, and readable chunks that change how they look, reach the decoder."""
    return PngImageFile(io.BufferedReader(SplicedFile(file, _Chunks(file).wanted()), _BUFFER_BYTES))


class _Chunks:
    """The chunks of a PNG in their order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._colour: int | None = None
        #: Types of ancillary chunks and keywords of texts that were found: a second one is not valid.
        self._seen: set[bytes] = set()

    def wanted(self) -> Iterator[Part]:
        """Yield the parts of the file that the decoder has to see."""
        yield 0, _SIGNATURE_BYTES
        position = _SIGNATURE_BYTES
        while len(head := self._read(position, _HEAD_BYTES)) == _HEAD_BYTES:
            length, kind = int.from_bytes(head[:4]), head[4:]
            content = position + _HEAD_BYTES
            end = content + length + _CHECKSUM_BYTES
            if length and not self._read(content, 1):
                # The file ends behind the head of a chunk; the pixels may be whole.
                return
            if kind == b"IHDR":
                self._colour = next(iter(self._read(content + _COLOUR_AT, 1)), None)
            # A type that is no word follows a damaged chunk: the decoder says so.
            if kind in _PIXELS or not kind.isalpha() or self._changes_looks(kind, content, length):
                yield position, end
            if kind == b"IEND":
                return
            position = end

    def _changes_looks(self, kind: bytes, start: int, length: int) -> bool:
        """Check whether the chunk changes how the pixels look, and can be read."""
        if kind == b"PLTE":
            # Of other images it is a suggestion.
            return self._colour == _PALETTE_COLOUR
        if length > _MOST or not self._has_sense(kind, start, length):
            return False
        data = self._read(start, length + _CHECKSUM_BYTES)
        content, checksum = data[:length], int.from_bytes(data[length:])
        return checksum == zlib.crc32(kind + content) and _is_readable(kind, content)

    def _has_sense(self, kind: bytes, start: int, length: int) -> bool:
        """Check the type, and the length if the type has only one."""
        if kind in _TEXTS:
            kind = self._read(start, min(length, _KEYWORD_BYTES)).partition(b"\0")[0]
            wanted = kind in _KEYWORDS
        elif kind == b"tRNS":
            wanted = 1 <= length <= 256 if self._colour == _PALETTE_COLOUR else length == self._transparency_length
        else:
            wanted = kind in _LENGTHS and _LENGTHS[kind] in (None, length)
        is_first = kind not in self._seen
        self._seen.add(kind)
        return wanted and is_first

    @property
    def _transparency_length(self) -> int | None:
        """The length of `tRNS` in an image without a palette; None: the image takes no such chunk."""
        return None if self._colour is None else _TRANSPARENCY_LENGTHS.get(self._colour)

    def _read(self, position: int, count: int) -> bytes:
        self._file.seek(position)
        return self._file.read(count)


def _is_readable(kind: bytes, content: bytes) -> bool:
    """Check whether the decoder's own reader of such chunks takes this one."""
    with PngStream(io.BytesIO(content)) as stream:
        try:
            getattr(stream, f"chunk_{kind.decode()}", lambda *_: None)(0, len(content))
        except (ValueError, LookupError, SyntaxError, OSError, struct.error, zlib.error):
            return False
    return True
