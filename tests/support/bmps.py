"""BMP files of every kind, written by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

Masks = tuple[int, int, int, int]


def bmp(
    size: tuple[int, int],
    pixels: bytes,
    *,
    bits: int,
    compression: int = 0,
    header: int = 40,
    masks: Sequence[int] = (),
    palette: bytes = b"",
    colours: int = 0,
    bottom_up: bool = True,
    profile: bytes = b"",
) -> bytes:
    """Return a BMP with a header of this length. `masks` of a header of 40 bytes follow it; a profile needs one of 124."""
    width, height = size
    if header == 12:
        fields = struct.pack("<HHHH", width, height, 1, bits)
    else:
        height = height if bottom_up else -height
        fields = struct.pack("<iiHHIIiiII", width, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    extra = struct.pack(f"<{len(masks)}I", *masks)
    content = (fields + extra if header > 40 else fields).ljust(header - 4, b"\0")[: header - 4]
    if profile:
        place = struct.pack("<II", header + len(palette) + len(pixels), len(profile))
        content = content[:52] + b"DEBM" + content[56:108] + place + content[116:]
    content += (extra if header == 40 else b"") + palette
    offset = 18 + len(content)
    return struct.pack("<2sIIII", b"BM", offset + len(pixels), 0, offset, header) + content + pixels + profile


def field_pixels(image: Image.Image, bits: int, masks: Masks, *, bottom_up: bool = True) -> bytes:
    """Return the picture's pixels as bit fields."""
    values = np.zeros((image.height, image.width), np.uint64)
    for channel, mask in zip(np.moveaxis(np.asarray(image.convert("RGBA")), -1, 0), masks, strict=True):
        if mask:
            lowest = mask & -mask
            values |= (channel.astype(np.float64) * (mask // lowest) / 255).round().astype(np.uint64) * np.uint64(
                lowest
            )
    rows = values[::-1] if bottom_up else values
    return _padded(rows.astype("<u2" if bits == 16 else "<u4"))


def index_pixels(image: Image.Image, bits: int) -> bytes:
    """Return the indices of a picture with a palette, packed."""
    indices = np.asarray(image)[::-1]
    planes = (indices[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    return _padded(np.packbits(planes.reshape(len(indices), -1).astype(np.uint8), axis=1))


def _padded(rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    return b"".join(row.tobytes() + bytes(-row.nbytes % 4) for row in rows)
