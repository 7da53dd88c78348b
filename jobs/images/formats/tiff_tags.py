"""The tags of a TIFF that describe its pixels, for a file that no decoder takes."""

from __future__ import annotations

import struct
from typing import BinaryIO

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT = 256, 257, 258, 259, 262, 339
_WANTED = (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT)
#: Formats of `struct` by the type of a tag: BYTE, SHORT, LONG, LONG8.
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_VALUES = 64
_CLASSIC, _BIG = 42, 43

_COMPRESSIONS = {6: "old-style JPEG", 34712: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}
_PHOTOMETRICS = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    5: "CMYK",
    6: "YCbCr",
    8: "Lab",
    9: "Lab",
    10: "Lab",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_SAMPLES = {2: "signed", 3: "float", 5: "complex", 6: "complex"}


def tiff_tags(file: BinaryIO) -> dict[int, tuple[int, ...]]:
    """Read these tags of the first page; tags that cannot be read are missing."""
    try:
        return _read_tags(file)
    except (struct.error, OverflowError, OSError, ValueError):
        return {}


def unsupported_compression(tags: dict[int, tuple[int, ...]]) -> str | None:
    """Name the compression in words, if no TIFF of that compression is decoded."""
    name = _COMPRESSIONS.get(*tags.get(COMPRESSION, (1,))[:1])
    return f"{name} compression" if name else None


def kind_in_words(tags: dict[int, tuple[int, ...]]) -> str:
    """Describe the pixels in words, such as `64-bit float` or `12-bit grey`."""
    bits = max(tags.get(BITS, (1,)))
    samples = _SAMPLES.get(max(tags.get(SAMPLE_FORMAT, (1,))))
    photometric = tags.get(PHOTOMETRIC, (1,))[0]
    return f"{bits}-bit {samples or _PHOTOMETRICS.get(photometric, f'photometric {photometric}')}"


def _read_tags(file: BinaryIO) -> dict[int, tuple[int, ...]]:
    file.seek(0)
    order = "<" if file.read(2) == b"II" else ">"
    (version,) = _unpack(file, f"{order}H")
    if version not in (_CLASSIC, _BIG):
        return {}
    counter, entry, offset, inline = ("H", "HHI", "I", 4) if version == _CLASSIC else ("Q", "HHQ", "Q", 8)
    if version == _BIG:
        file.seek(8)
    file.seek(*_unpack(file, order + offset))
    (count,) = _unpack(file, order + counter)
    tags = {}
    for _ in range(min(count, 1 << 16)):
        tag, kind, number = _unpack(file, order + entry)
        here = file.tell()
        if tag in _WANTED and kind in _TYPES and 0 < number <= _MOST_VALUES:
            values = f"{order}{number}{_TYPES[kind]}"
            if struct.calcsize(values) > inline:
                file.seek(*_unpack(file, order + offset))
            tags[tag] = _unpack(file, values)
        file.seek(here + inline)
    return tags


def _unpack(file: BinaryIO, values: str) -> tuple[int, ...]:
    return struct.unpack(values, file.read(struct.calcsize(values)))
