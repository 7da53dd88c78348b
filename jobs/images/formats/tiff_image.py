"""TIFFs behind Pillow's interface: Pillow reads the common kinds, and tifffile the others."""

from __future__ import annotations

from math import prod
from typing import BinaryIO

from PIL import Image
from tifffile import TiffFile, TiffPage

from jobs.errors import UnsupportedImageError
from jobs.images.formats import tiff_kinds
from jobs.images.formats.tiff_pages import full_page, pixels_of

_ICC_PROFILE, _ORIENTATION = 34675, 274


class TiffImage(Image.Image):
    """The header of a page of a TIFF that Pillow cannot decode. `worker.pixels.tiff.tiff_pixels` decodes its pixels."""

    format = "TIFF"

    def __init__(self, page: TiffPage) -> None:
        super().__init__()
        self.page = page
        self._size = (page.imagewidth, page.imagelength)
        profile = page.tags.valueof(_ICC_PROFILE)
        if isinstance(profile, bytes):
            self.info["icc_profile"] = profile

    def getexif(self) -> Image.Exif:
        """Return the orientation; the other fields say nothing about the pixels."""
        exif = Image.Exif()
        exif[_ORIENTATION] = self.page.tags.valueof(_ORIENTATION, default=1)
        return exif

    @property
    def decoded_bytes(self) -> int:
        """Bytes at the peak of decoding: all samples, a strip or tile on its way, and the picture in 8 bits twice."""
        page = self.page
        sample = page.dtype.itemsize if page.dtype is not None else 8
        pixels = pixels_of(page)
        # A strip may be longer in the file than its samples are, and a tile larger than the image.
        packed = 0 if page.is_contiguous else 2 * prod(page.chunks) * sample + max(page.databytecounts, default=0)
        return pixels * page.samplesperpixel * sample + packed + 8 * pixels


def open_tiff(file: BinaryIO, name: str) -> Image.Image:
    """Open the full page of a TIFF, with Pillow if it decodes that kind rightly.

    Raises:
        UnsupportedImageError: No decoder reads that kind.
    """
    page = _page_of(file)
    if page is None or tiff_kinds.is_for_pillow(page):
        return _open_with_pillow(file, page)
    kind = tiff_kinds.unsupported(page)
    if kind is not None:
        raise UnsupportedImageError(f"{name} is a TIFF of a kind that is not supported ({kind}).")
    return TiffImage(page)


def _page_of(file: BinaryIO) -> TiffPage | None:
    """Return the page to be shown; None if tifffile cannot read the header, which Pillow then names as damaged or reads."""
    try:
        return full_page(TiffFile(file))
    except Exception:  # a damaged header raises errors of many kinds
        return None


def _open_with_pillow(file: BinaryIO, page: TiffPage | None) -> Image.Image:
    file.seek(0)
    image = Image.open(file, formats=("TIFF",))
    if page is not None:
        image.seek(int(page.index))
    return image
