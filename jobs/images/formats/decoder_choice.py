"""The opening of a file by its format: one place for every decoder. The bytes decide, not the name."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import BinaryIO

import pillow_heif
from PIL import (  # noqa: F401 (a plugin is known once it is imported)
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from jobs.images.formats import bmp
from jobs.images.formats.container_kinds import KINDS
from jobs.images.formats.containers import container_kind, open_container
from jobs.images.formats.jpeg_file import JpegFile
from jobs.images.formats.png_file import open_png

#: Pillow's names of the formats that are decoded; every other format is refused unopened.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")
_BEGINNING_BYTES = 64
#: The entry of an EXIF item in the list of items (ISO/IEC 14496-12, 8.11.6), before its type.
_EXIF_ITEM = re.compile(rb"(infe\x02.{7})Exif", re.DOTALL)
#: Bytes that Pillow's formats are told apart by.
_MAGIC_BYTES = 16


def format_of(file: BinaryIO) -> str | None:
    """Return the name of the format, or the kind of container, that a file announces; None: no known one."""
    file.seek(0)
    beginning = file.read(_BEGINNING_BYTES)
    file.seek(0)
    kind = next((kind for kind in FORMATS if _accepts(kind, beginning[:_MAGIC_BYTES])), None)
    if kind in (None, "TIFF") and (container := container_kind(file, beginning)) is not None:
        return container
    # Both are ISO base media files, which may announce themselves by their common brand first.
    return "AVIF" if kind == "HEIF" and b"avif" in beginning[: int.from_bytes(beginning[:4])] else kind


def open_as(kind: str, file: BinaryIO, name: str) -> Image.Image:
    """Open a file of this format; no pixel is decoded. Raises the errors of its decoder, which are of many types.

    `name`: of the image, in errors.
    """
    _register()
    if kind in KINDS:
        return open_container(kind, file, name)
    match kind:
        case "JPEG":
            return JpegFile(file)
        case "PNG":
            return open_png(file)
        case "AVIF":
            return _open_avif(file)
        case "TIFF":
            # Imported here: tifffile takes a while, and most pictures are not TIFFs.
            from jobs.images.formats.tiff_image import open_tiff

            return open_tiff(file, name)
        case _:
            return Image.OPEN[kind][0](file, "")


def _open_avif(file: BinaryIO) -> ImageFile:
    """Open an AVIF; if that fails, without its EXIF: the decoder refuses a file whose EXIF has no valid header."""
    try:
        return AvifImagePlugin.AvifImageFile(file)
    except (SyntaxError, ValueError, RuntimeError):
        file.seek(0)
        content, found = _EXIF_ITEM.subn(rb"\1skip", file.read(), count=1)
        if not found:
            raise
        return AvifImagePlugin.AvifImageFile(io.BytesIO(content))


def _accepts(kind: str, beginning: bytes) -> bool:
    _register()
    accept = Image.OPEN[kind][1]
    # Some answer with the reason for which they do not take it.
    return accept is not None and accept(beginning) is True


@cache
def _register() -> None:
    pillow_heif.register_heif_opener()
    bmp.register()
    # Pillow's own guard is a warning at half this number; the guard here is the limit of the settings.
    Image.MAX_IMAGE_PIXELS = None
