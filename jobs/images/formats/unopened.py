"""The refusal of a file of a known format that its decoder does not take: over the limits, of an unsupported kind, or damaged."""

from __future__ import annotations

import re
from typing import BinaryIO

from jobs.configuration.settings import Settings
from jobs.errors import ImageError
from jobs.images.formats.bmp_header import UnsupportedBmpError
from jobs.images.formats.refusal_words import refusal, too_many_pixels, unsupported_kind
from jobs.images.formats.tiff_tags import HEIGHT, WIDTH, kind_in_words, tiff_tags, unsupported_compression

#: Bytes of a HEIC or AVIF file that hold the boxes which describe it.
_BOXES_BYTES = 1 << 18
#: The box of an image's size: version and flags, width, height (ISO/IEC 23008-12, 6.5.3).
_SIZE_BOX = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
#: Texts of Pillow for TIFFs that it could not find its way in, though the tags are there.
_TIFF_KINDS = re.compile(r"unknown pixel mode|unknown data organization|Missing dimensions|^\d+$|not yet supported")


def refusal_of(error: Exception, kind: str, file: BinaryIO, name: str, settings: Settings) -> ImageError:
    """Return the error for a file whose decoder raised `error`, which may only say that a limit of its own is passed."""
    if isinstance(error, UnsupportedBmpError):
        return unsupported_kind(kind, name, "")
    tags = tiff_tags(file) if kind == "TIFF" else {}
    size = _announced_size(kind, file, tags)
    if size is not None and size[0] * size[1] > settings.max_image_pixels:
        return too_many_pixels(name, *size, settings)
    if compression := unsupported_compression(tags):
        return unsupported_kind(kind, name, compression)
    if WIDTH in tags and _TIFF_KINDS.search(str(error)):
        return unsupported_kind(kind, name, kind_in_words(tags))
    return refusal(error, kind, name)


def _announced_size(kind: str, file: BinaryIO, tags: dict[int, tuple[int, ...]]) -> tuple[int, int] | None:
    """Return the width and height that the file says it has; None: it does not say so in the usual place."""
    if WIDTH in tags and HEIGHT in tags:
        return tags[WIDTH][0], tags[HEIGHT][0]
    if kind not in ("HEIF", "AVIF"):
        return None
    file.seek(0)
    sizes = [
        (int.from_bytes(width), int.from_bytes(height)) for width, height in _SIZE_BOX.findall(file.read(_BOXES_BYTES))
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)
