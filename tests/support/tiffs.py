"""TIFFs of every kind, written tag by tag: the libraries write only some of the kinds that they read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jobs.images.formats.tiff_kinds import FLOAT, RGB, SIGNED, UNSIGNED

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS = 256, 257, 258, 259, 262, 273
_SAMPLES, _ROWS, _BYTE_COUNTS, _PLANAR, _EXTRAS, _FORMAT = 277, 278, 279, 284, 338, 339
SUBFILE_TYPE, OLD_SUBFILE_TYPE, SUB_IFDS, COLOR_MAP = 254, 255, 330, 320


@dataclass
class Page:
    """A page: lines of pixels of samples, which are already the numbers to be stored."""

    values: NDArray[Any]
    bits: int = 8
    form: int = UNSIGNED
    photometric: int = RGB
    extras: tuple[int, ...] = ()
    planar: bool = False
    #: More tags, each with one or more numbers.
    tags: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    #: Samples of 10 to 14 bits fill 16-bit words.
    loose: bool = False


def tiff(*pages: Page, byteorder: Literal["<", ">"] = "<", big: bool = False) -> bytes:
    """Write pages as a TIFF, uncompressed."""
    mark = b"II" if byteorder == "<" else b"MM"
    head = mark + (struct.pack(byteorder + "HHHQ", 43, 8, 0, 16) if big else struct.pack(byteorder + "HI", 42, 8))
    content = bytearray(head)
    for index, page in enumerate(pages):
        content += _directory(page, len(content), byteorder, big, is_last=index == len(pages) - 1)
    return bytes(content)


def scaled(picture: NDArray[np.uint8], bits: int, form: int) -> NDArray[Any]:
    """Scale 8-bit values to the range of a kind of sample: of signed ones to its positive half, of floats to 0 to 1."""
    if form == FLOAT:
        return (picture / 255).astype(f"f{bits // 8}")
    white = 2 ** (bits - (form == SIGNED)) - 1
    exact: NDArray[Any] = picture.astype(object) * white // 255
    return exact.astype(f"{'i' if form == SIGNED else 'u'}{max(8, 1 << (bits - 1).bit_length()) // 8}")


def packed(values: NDArray[Any], bits: int, byteorder: Literal["<", ">"]) -> bytes:
    """Store lines of samples: whole bytes in the byte order, others bit after bit with each line padded to a byte."""
    if bits in (8, 16, 32, 64):
        return values.astype(values.dtype.newbyteorder(byteorder)).tobytes()
    lines = values.reshape(len(values), -1).astype(np.uint64)
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    each = (lines[..., None] >> shifts & np.uint64(1)).astype(np.uint8)
    return np.packbits(each.reshape(len(values), -1), axis=1).tobytes()


def _directory(page: Page, start: int, byteorder: Literal["<", ">"], big: bool, *, is_last: bool) -> bytes:
    height, width, samples = page.values.shape
    planes = [page.values[..., one] for one in range(samples)] if page.planar else [page.values]
    data = [packed(plane, 16 if page.loose else page.bits, byteorder) for plane in planes]
    tags = {
        _WIDTH: (width,),
        _HEIGHT: (height,),
        _BITS: (page.bits,) * samples,
        _COMPRESSION: (1,),
        _PHOTOMETRIC: (page.photometric,),
        _OFFSETS: (0,) * len(data),
        _SAMPLES: (samples,),
        _ROWS: (height,),
        _BYTE_COUNTS: tuple(map(len, data)),
        _PLANAR: (2 if page.planar else 1,),
        _FORMAT: (page.form,) * samples,
        **({_EXTRAS: page.extras} if page.extras else {}),
        **page.tags,
    }
    # The numbers of all tags, then the data, stand behind the directory. All numbers are LONG.
    size = 8 + 20 * len(tags) + 8 if big else 2 + 12 * len(tags) + 4
    behind = start + size
    data_start = behind + sum(4 * len(numbers) for numbers in tags.values())
    ends = np.cumsum([data_start, *map(len, data)])
    tags[_OFFSETS] = tuple(map(int, ends[:-1]))
    end = int(ends[-1]) + int(ends[-1]) % 2
    entries, numbers_behind = bytearray(), bytearray()
    for tag, numbers in sorted(tags.items()):
        stored = struct.pack(f"{byteorder}{len(numbers)}I", *numbers)
        inline = stored.ljust(8 if big else 4, b"\0")
        if len(inline) > (8 if big else 4):
            inline = struct.pack(byteorder + ("Q" if big else "I"), behind + len(numbers_behind))
        numbers_behind += stored
        entries += struct.pack(byteorder + ("HHQ" if big else "HHI"), tag, 4, len(numbers)) + inline
    count = struct.pack(byteorder + ("Q" if big else "H"), len(tags))
    following = struct.pack(byteorder + ("Q" if big else "I"), 0 if is_last else end)
    whole = count + bytes(entries) + following + bytes(numbers_behind) + b"".join(data)
    return whole.ljust(end - start, b"\0")
