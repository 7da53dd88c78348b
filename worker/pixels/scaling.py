"""Scaling of large images, converted band by band on the way."""

from __future__ import annotations

from PIL import Image

from worker.pixels.bands import bands
from worker.pixels.levels import Levels
from worker.pixels.transparency import has_alpha, on_white

#: Pillow's trade of exactness for speed: an image is averaged down to 3 times the wanted size before it is resampled.
_GAP = 3.0


def scaled_rgb(image: Image.Image, size: tuple[int, int], levels: Levels) -> Image.Image:
    """Convert and scale an image band by band, with the pixels that `resize` with its reducing gap gives for the whole image.

    CMYK is only scaled. A band's height is a multiple of the factor of reduction, so no mean is taken across two bands.
    """
    if image.mode in ("RGB", "CMYK") and not has_alpha(image):
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
    across, down = (max(1, int(old / new / _GAP)) for old, new in zip(image.size, size, strict=True))
    reduced = Image.new("RGB", (-(-image.width // across), -(-image.height // down)))
    for top, band in bands(image, multiple=down):
        reduced.paste(on_white(levels(band)).reduce((across, down)), (0, top // down))
    box = (0.0, 0.0, image.width / across, image.height / down)
    return reduced.resize(size, Image.Resampling.BICUBIC, box)
