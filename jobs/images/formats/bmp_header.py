"""The header of a BMP file: all versions of Windows and of OS/2."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

RAW, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6

_FILE_HEADER = 14
_CORE, _OS2_SHORT, _INFO, _OS2, _V5 = 12, 16, 40, 64, 124
_SIZES = (_CORE, _OS2_SHORT, _INFO, 52, 56, _OS2, 108, _V5)
#: The kind of colour space that is a profile in the file (PROFILE_EMBEDDED).
_EMBEDDED = b"DEBM"
#: Maximum length of a profile in bytes.
_MAX_PROFILE = 8_000_000
Masks = tuple[int, int, int, int]
#: The fields of 16 and 32 bits without masks.
_DEFAULT_MASKS: dict[int, Masks] = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
#: The fields that Pillow reads, and reads faster.
_COMMON_MASKS = {
    (32, (0xFF0000, 0xFF00, 0xFF, 0)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    (16, (0xF800, 0x7E0, 0x1F, 0)),
    (16, (0x7C00, 0x3E0, 0x1F, 0)),
}


class UnsupportedBmpError(Exception):
    """A BMP of a kind that is not read: JPEG or PNG inside, fax compression, RLE of 24 bits, an unknown header."""


@dataclass(frozen=True)
class BmpHeader:
    """The layout of the pixels of a BMP file."""

    length: int
    size: tuple[int, int]
    top_down: bool
    bits: int
    compression: int
    #: Red, green, blue and alpha of pixels of 16 and 32 bits; 0 for a channel that is missing.
    masks: Masks
    palette: bytes
    #: Bytes of a palette's colour: 3 or 4.
    palette_step: int
    #: Position of the pixels in the file.
    offset: int
    #: Position of an embedded colour profile in the file, and its length; 0 without one.
    profile: tuple[int, int]

    @property
    def is_common(self) -> bool:
        """Whether Pillow reads files of this kind rightly."""
        if self.length == _OS2_SHORT or self.compression not in (RAW, BITFIELDS):
            return False
        if self.bits in (16, 32):
            return (self.bits, self.masks) in _COMMON_MASKS
        return self.bits == 24


def read_header(file: IO[bytes]) -> BmpHeader:
    """Read the header of a BMP file.

    Raises:
        UnsupportedBmpError: The kind is not supported.
        SyntaxError: The file is no BMP.
    """
    start = file.read(_FILE_HEADER + 4)
    if len(start) < _FILE_HEADER + 4 or start[:2] != b"BM":
        raise SyntaxError("not a BMP file")
    offset, length = struct.unpack_from("<II", start, 10)
    if length not in _SIZES:
        raise UnsupportedBmpError
    # Fields that a shorter header leaves out are 0.
    content = file.read(length - 4).ljust(124, b"\0")
    if length == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", content)
        compression = colours = 0
    else:
        width, height, _, bits, compression, *_, colours = struct.unpack_from("<iiHHIIiiI", content)
    _check_kind(length, bits, compression)
    masks = _masks(length, bits, compression, content, file)
    step = 3 if length == _CORE else 4
    palette = b"" if bits > 8 else _palette(file, step, bits, colours, offset)
    return BmpHeader(
        length,
        (width, abs(height)),
        height < 0,
        bits,
        compression,
        masks,
        palette,
        step,
        offset or file.tell(),
        _profile(length, content),
    )


def _check_kind(length: int, bits: int, compression: int) -> None:
    is_os2 = length in (_OS2_SHORT, _OS2)
    kinds = {RAW: (1, 2, 4, 8, 16, 24, 32), RLE8: (8,), RLE4: (4,)}
    if not is_os2:
        kinds |= {BITFIELDS: (16, 24, 32), ALPHA_BITFIELDS: (16, 32)}
    if bits not in kinds.get(compression, ()):
        raise UnsupportedBmpError


def _masks(length: int, bits: int, compression: int, content: bytes, file: IO[bytes]) -> Masks:
    if compression not in (BITFIELDS, ALPHA_BITFIELDS):
        return _DEFAULT_MASKS.get(bits, (0, 0, 0, 0))
    if length > _INFO:
        red, green, blue, alpha = struct.unpack_from("<IIII", content, 36)
        return red, green, blue, alpha if length > 52 else 0
    # The masks follow the header.
    count = 4 if compression == ALPHA_BITFIELDS else 3
    red, green, blue, alpha = struct.unpack("<IIII", file.read(4 * count).ljust(16, b"\0"))
    return red, green, blue, alpha


def _profile(length: int, content: bytes) -> tuple[int, int]:
    kind, position, size = struct.unpack_from("<52x4s52xII", content)
    return (_FILE_HEADER + position, size) if length == _V5 and kind == _EMBEDDED and size <= _MAX_PROFILE else (0, 0)


def _palette(file: IO[bytes], step: int, bits: int, colours: int, offset: int) -> bytes:
    """Read the palette, which ends where the pixels begin. Colours that are missing are black."""
    count = min(colours or 1 << bits, 1 << bits)
    if offset:
        count = min(count, max(0, offset - file.tell()) // step)
    return file.read(step * count).ljust(step << bits, b"\0")
