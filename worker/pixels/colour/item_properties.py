"""Properties of the picture in an AVIF file (ISO/IEC 23008-12, 9.3) that Pillow does not tell: its crop and its coded colours."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, TypeAlias

from PIL import Image

#: The type and the content of each property, in the order in which they apply.
Properties: TypeAlias = list[tuple[bytes, bytes]]
#: Left, top, right and bottom in pixels.
Box: TypeAlias = tuple[int, int, int, int]

#: Maximum length of the `meta` box that is read.
_MAX_META = 4_000_000
#: The essential bit of an association; the others are the property's number.
_NUMBER_BITS = {1: 0x7F, 2: 0x7FFF}


def avif_properties(image: Image.Image) -> Properties:
    """Return the properties of an AVIF's primary item; none for other formats, and none if the boxes are damaged."""
    file: BinaryIO | None = getattr(image, "fp", None)
    if image.format != "AVIF" or file is None:
        return []
    position = file.tell()
    try:
        return _primary_properties(_meta(file))
    except (struct.error, IndexError, KeyError):
        return []
    finally:
        file.seek(position)


def crop_of(properties: Properties, size: tuple[int, int]) -> Box:
    """Return the part of a picture of this size that is shown (`clap`, ISO/IEC 14496-12, 12.1.4): all of it without an aperture.

    An aperture that leaves the picture is cut at its border.
    """
    whole = (0, 0, *size)
    aperture = next((content for kind, content in properties if kind == b"clap" and len(content) >= 32), None)
    if aperture is None:
        return whole
    numbers = struct.unpack_from(">IIIIiIiI", aperture)
    if not all(numbers[1::2]):
        return whole
    width, height, right, down = (Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2))
    sides = []
    for shown, offset, length in ((width, right, size[0]), (height, down, size[1])):
        start = offset + Fraction(length - shown) / 2
        sides.append((max(0, round(start)), min(length, round(start + shown))))
    (left, end), (top, bottom) = sides
    return (left, top, end, bottom) if left < end and top < bottom else whole


def coded_colours_of(properties: Properties) -> tuple[int, int] | None:
    """Return the numbers of the primaries and of the transfer curve (`colr` of the kind `nclx`); None if there are none."""
    for kind, content in properties:
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return primaries, transfer
    return None


def _meta(file: BinaryIO) -> bytes:
    """Return the content of the file's `meta` box, behind its version and flags."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", head, 8), 16
        if kind == b"meta":
            file.seek(start + header)
            return file.read(min(length - header, _MAX_META) if length else _MAX_META)[4:]
        if length < header:
            raise IndexError("the last box of the file")
        start += length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if length < 8:
            return
        yield kind, data[position + 8 : position + length]
        position += length


def _primary_properties(meta: bytes) -> Properties:
    boxes = dict(_boxes(meta))
    long = boxes[b"pitm"][0] > 0
    (primary,) = struct.unpack_from(">I" if long else ">H", boxes[b"pitm"], 4)
    parts = dict(_boxes(boxes[b"iprp"]))
    properties = list(_boxes(parts[b"ipco"]))
    numbers = _associations(parts[b"ipma"])[primary]
    return [properties[number - 1] for number in numbers if number]


def _associations(ipma: bytes) -> dict[int, list[int]]:
    """Return the numbers of each item's properties."""
    item_format = ">I" if ipma[0] else ">H"
    width = 2 if ipma[3] & 1 else 1
    (items,) = struct.unpack_from(">I", ipma, 4)
    found: dict[int, list[int]] = {}
    position = 8
    for _ in range(items):
        (item,) = struct.unpack_from(item_format, ipma, position)
        position += struct.calcsize(item_format)
        count = ipma[position]
        position += 1
        ends = range(position + width, position + width * count + 1, width)
        found[item] = [int.from_bytes(ipma[end - width : end]) & _NUMBER_BITS[width] for end in ends]
        position += width * count
    return found
