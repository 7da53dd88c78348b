"""Pixels for a model from the bytes of an image: RGB, upright, on white, within the budget of pixels."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from jobs.images.decode_cost import fitted_size
from jobs.images.opening import open_image
from jobs.settings import Settings
from worker.pixels.canvas import on_canvas
from worker.pixels.colour_profile import colours_of
from worker.pixels.item_properties import avif_properties, crop_of
from worker.pixels.levels import Levels, levels_of
from worker.pixels.scaling import scaled_rgb
from worker.pixels.transparency import fill_empty_alpha, has_alpha, on_white, scale_transparent_colour

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
    properties = avif_properties(image)
    colours = colours_of(image, properties)
    left, top, right, bottom = box = crop_of(properties, image.size)
    size = fitted_size((right - left, bottom - top), max_pixels)
    if draft:
        # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is no smaller than the wanted size.
        image.draft("RGB", size)
    original, image = image, _decoded(image)
    if isinstance(original, ImageFile):
        fill_empty_alpha(image)
    else:
        colours = colours_of(image, properties)
    shown = image.crop(box) if image.format == "AVIF" and box != (0, 0, *image.size) else image
    levels = levels_of(shown)
    if has_alpha(shown):
        # Colours are converted before they are mixed with white.
        rgb = _scaled(shown, size, lambda band: colours.layer_to_srgb(levels(band)))
    else:
        rgb = colours.to_srgb(_scaled(shown, size, levels))
    # Canvas and turn come last, because they are cheap on few pixels. The tag is read from the original.
    return _turned(on_canvas(rgb), original)


def _scaled(image: Image.Image, size: tuple[int, int], levels: Levels) -> Image.Image:
    """Return the image in this size as RGB or, if it is print colours, as CMYK."""
    if image.size != size:
        return scaled_rgb(image, size, levels)
    return image if image.mode == "CMYK" else on_white(levels(image))


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
