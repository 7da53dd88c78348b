"""Pixels for a model from the bytes of an image: RGB, upright, on white, within the budget of pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from jobs.images.decode_cost import fitted_size
from jobs.images.opening import open_image
from jobs.settings import Settings

#: The largest area of an image with `detail` "low": OpenAI's 512×512.
LOW_DETAIL_PIXELS = 512 * 512
_WHITE = (255, 255, 255)
#: Pillow's trade of exactness for speed: an image is averaged down to 3 times the wanted size before it is resampled.
_GAP = 3.0
#: Pixels of a band, which is converted in one go.
_BAND_PIXELS = 1 << 20

#: A conversion of a band from the image's own mode to 8 bits a channel.
Levels: TypeAlias = Callable[[Image.Image], Image.Image]


def decode(
    source: Path | bytes, settings: Settings, *, low_detail: bool = False, name: str | None = None
) -> Image.Image:
    """Decode an image to RGB, with its EXIF orientation applied, scaled down to at most `settings.max_pixels`.

    Args:
        source: A file, or the bytes of one.
        low_detail: Scale down to at most 512×512 pixels.
        name: The image's name in errors; None: the file's own.

    Raises:
        ImageError: The image cannot be used, for any reason; or a subclass that names the reason.
    """
    with open_image(source, settings, name=name) as (image, _):
        return _upright_rgb(image, _max_pixels(settings, low_detail), draft=settings.jpeg_draft)


def decode_if_quick(
    source: Path | bytes, settings: Settings, *, low_detail: bool = False, name: str | None = None
) -> Image.Image | None:
    """Decode an image as `decode` does if that takes little time and memory; else return None without decoding."""
    with open_image(source, settings, name=name) as (image, cost):
        if not cost.is_quick(settings):
            return None
        return _upright_rgb(image, _max_pixels(settings, low_detail), draft=settings.jpeg_draft)


def _max_pixels(settings: Settings, low_detail: bool) -> int:
    return min(settings.max_pixels, LOW_DETAIL_PIXELS) if low_detail else settings.max_pixels


def _upright_rgb(image: Image.Image, max_pixels: int, *, draft: bool) -> Image.Image:
    size = fitted_size(image, max_pixels)
    if draft:
        # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is no smaller than the wanted size.
        image.draft("RGB", size)
    image.load()
    levels = _levels(image)
    is_large = image.width * image.height > max_pixels
    rgb = _scaled_rgb(image, size, levels) if is_large else _on_white(levels(image))
    # The turn comes last, because it is cheap on few pixels. The tag is read from the original.
    return _turned(rgb, image)


def _scaled_rgb(image: Image.Image, size: tuple[int, int], levels: Levels) -> Image.Image:
    """Convert and scale an image band by band, with the pixels that `resize` with its reducing gap gives for the whole image.

    A band's height is a multiple of the factor of reduction, so no mean is taken over the border of two bands.
    """
    if image.mode == "RGB" and not _has_alpha(image):
        return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
    across, down = (max(1, int(old / new / _GAP)) for old, new in zip(image.size, size, strict=True))
    reduced = Image.new("RGB", (-(-image.width // across), -(-image.height // down)))
    for top, band in _bands(image, multiple=down):
        reduced.paste(_on_white(levels(band)).reduce((across, down)), (0, top // down))
    box = (0.0, 0.0, image.width / across, image.height / down)
    return reduced.resize(size, Image.Resampling.BICUBIC, box)


def _bands(image: Image.Image, *, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield bands of the image's whole width, each with the line at which it begins, a multiple of `multiple`."""
    height = max(1, _BAND_PIXELS // (image.width * multiple)) * multiple
    for top in range(0, image.height, height):
        yield top, image.crop((0, top, image.width, min(top + height, image.height)))


def _turned(rgb: Image.Image, original: Image.Image) -> Image.Image:
    exif = original.getexif()
    rgb.info = {}
    rgb.getexif().clear()
    orientation = exif.get(0x0112, 1)
    if orientation not in range(2, 9):
        return rgb
    rgb.getexif()[0x0112] = orientation
    turned = ImageOps.exif_transpose(rgb)
    turned.info = {}
    return turned


def _levels(image: Image.Image) -> Levels:
    """Return the conversion of 16-bit and floating-point grey values to 8 bits; Pillow's own conversion would clip them."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return lambda band: band
    lowest, highest = [], []
    for _, band in _bands(image):
        values = _values(band)
        lowest.append(values.min())
        highest.append(values.max())
    low, high = float(min(lowest)), float(max(highest))
    if image.mode.startswith("I;16") or (image.mode == "I" and high <= 65535):
        return _mapped(lambda values: values / 257)
    if image.mode == "F" and high <= 1:
        return _mapped(lambda values: values * 255)
    if high > 255 or low < 0:
        return _mapped(lambda values: (values - low) * (255 / (high - low or 1)))
    return _mapped(lambda values: values)


def _mapped(scale: Callable[[NDArray[Any]], NDArray[Any]]) -> Levels:
    return lambda band: Image.fromarray(scale(_values(band)).clip(0, 255).round().astype(np.uint8))


def _values(band: Image.Image) -> NDArray[Any]:
    return np.nan_to_num(np.asarray(band, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _on_white(image: Image.Image) -> Image.Image:
    if not _has_alpha(image):
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", layer.size, _WHITE)
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground
