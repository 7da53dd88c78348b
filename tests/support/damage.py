"""Pictures with faults around their pixels, or with missing bytes."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

from tests.support.scenes import draw

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 33


def scene() -> Image.Image:
    """Return a small picture."""
    return draw(5, (128, 96)).image


def saved(kind: str, **options: object) -> bytes:
    """Return the scene as a file of this format."""
    file = io.BytesIO()
    scene().save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    """Return a chunk of a PNG, with the right checksum or with this one."""
    right = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right if checksum is None else checksum)


def png_with(*chunks: bytes) -> bytes:
    """Return the scene as a PNG with these chunks before its pixels."""
    content = saved("PNG")
    return content[:_HEADER_END] + b"".join(chunks) + content[_HEADER_END:]


def jpeg_with(*segments: bytes, **options: object) -> bytes:
    """Return the scene as a JPEG with these segments before the others."""
    content = saved("JPEG", **options)
    return content[:2] + b"".join(segments) + content[2:]


def segment(marker: int, content: bytes, *, length: int | None = None) -> bytes:
    """Return a segment of a JPEG that says that it has this length; None: the right one."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2 if length is None else length) + content
