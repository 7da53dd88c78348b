"""Pictures that are hard to decode: small files with many pixels or many scans, made without keeping them in memory."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def write_png(path: Path, size: tuple[int, int], *, depth: int, colour: int, pixel: bytes) -> None:
    """Write a PNG of one colour, row by row. `colour`: PNG's colour type; `pixel`: the bytes of one pixel."""
    width, height = size
    compress = zlib.compressobj(1)
    row = b"\0" + pixel * width
    content = b"".join([*(compress.compress(row) for _ in range(height)), compress.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def png(values: NDArray[np.integer[Any]], *, depth: int, colour: int, transparent: tuple[int, ...]) -> bytes:
    """Return a PNG of lines of pixels of samples, in which one grey value or colour is transparent."""
    height, width, _ = values.shape
    lines = np.packbits(
        np.unpackbits(values.astype(">u2").view(np.uint8).reshape(height, -1, 2), axis=2)[..., -depth:].reshape(
            height, -1
        ),
        axis=1,
    )
    content = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    return b"\x89PNG\r\n\x1a\n" + chunks + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def scanned_jpeg(size: tuple[int, int], scans: int) -> bytes:
    """Return a grey progressive JPEG whose last scan is repeated until it has this many scans."""
    file = io.BytesIO()
    Image.new("L", size, 90).save(file, "JPEG", progressive=True, quality=50)
    content = file.getvalue()
    start = content.rindex(b"\xff\xda")
    head, last = content[:start], content[start:-2]
    return head + last * (scans - head.count(b"\xff\xda")) + b"\xff\xd9"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
