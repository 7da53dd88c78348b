"""Bands of an image: large images are converted a band at a time, so that no second copy of the whole image is needed."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

#: Pixels of a band, which is converted in one go.
_BAND_PIXELS = 1 << 20


def bands(image: Image.Image, *, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield bands of the image's whole width, each with the line at which it begins, a multiple of `multiple`."""
    height = max(1, _BAND_PIXELS // (image.width * multiple)) * multiple
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))
