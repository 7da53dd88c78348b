"""Pixels for a model from the bytes of an image: RGB, upright, on white, within the budget of pixels."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from jobs.images.decode_cost import fitted_size
from jobs.images.opening import open_image
from jobs.settings import Settings
from worker.pixels.levels import levels_of
from worker.pixels.scaling import scaled_rgb
from worker.pixels.transparency import on_white, scale_transparent_colour

#: The largest area of an image with `detail` "low": OpenAI's 512×512.
LOW_DETAIL_PIXELS = 512 * 512


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
    original, image = image, _decoded(image)
    levels = levels_of(image)
    is_large = image.width * image.height > max_pixels
    rgb = scaled_rgb(image, size, levels) if is_large else on_white(levels(image))
    # The turn comes last, because it is cheap on few pixels. The tag is read from the original.
    return _turned(rgb, original)


def _decoded(image: Image.Image) -> Image.Image:
    """Decode the pixels, with the decoder that fits."""
    if isinstance(image, ImageFile):
        scale_transparent_colour(image)
        image.load()
        return image
    # Imported here: the modules of rare kinds of TIFF take a while.
    from jobs.images.tiff_image import TiffImage
    from worker.pixels.tiff import decoded_tiff

    assert isinstance(image, TiffImage)
    return decoded_tiff(image)


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
