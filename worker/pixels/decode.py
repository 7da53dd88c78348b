"""Pixels for a model from the bytes of an image: RGB, upright, on white, within the budget of pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from jobs.configuration.settings import Settings
from jobs.images.formats.containers import Container
from jobs.images.opening import name_of, open_image
from jobs.images.scaled_size import fitted_size
from worker.pixels.canvas import on_canvas
from worker.pixels.colour.colour_profile import Colours, colours_of
from worker.pixels.colour.item_properties import avif_properties, crop_of
from worker.pixels.frames import frames_of
from worker.pixels.levels import Levels, levels_of
from worker.pixels.scaling import scaled_rgb
from worker.pixels.transparency import fill_empty_alpha, has_alpha, on_white, scale_transparent_colour
from worker.pixels.truncation import flaw_of

#: The largest area of an image with `detail` "low": OpenAI's 512×512.
LOW_DETAIL_PIXELS = 512 * 512


@dataclass(frozen=True)
class Picture:
    """A decoded image."""

    #: RGB and upright.
    image: Image.Image
    #: Its flaw, as the `quality` of a result; None: the image is whole.
    flaw: str | None = None


def decode(source: Path | bytes, settings: Settings, *, name: str | None = None) -> Image.Image:
    """Decode an image as `decode_picture` does, and return its pixels only."""
    return decode_picture(source, settings, name=name).image


def decode_picture(source: Path | bytes, settings: Settings, *, name: str | None = None) -> Picture:
    """Decode an image to RGB, with its EXIF orientation applied, scaled down to at most `settings.max_pixels`.

    Args:
        source: A file, or the bytes of one.
        name: The image's name in errors; None: the file's own.

    Raises:
        ImageError: The image cannot be used, for any reason; or a subclass that names the reason.
    """
    return decode_pictures(source, settings, name=name)[0]


def decode_pictures(
    source: Path | bytes, settings: Settings, *, name: str | None = None, frames: int = 1
) -> list[Picture]:
    """Decode an image as `decode_picture` does, or at most `frames` pictures of a video or a PDF."""
    name = name or name_of(source)
    with open_image(source, settings, name=name) as (image, _):
        if not isinstance(image, Container):
            return [_picture(image, name, settings)]
        shown = frames_of(image, frames, settings.max_pixels, name, settings)
        return [_picture(one, name, settings) for one in shown]


def decode_if_quick(source: Path | bytes, settings: Settings, *, name: str | None = None) -> Picture | None:
    """Decode an image as `decode_picture` does if that takes little time and memory; else return None without decoding."""
    name = name or name_of(source)
    with open_image(source, settings, name=name) as (image, cost):
        if not cost.is_quick(settings):
            return None
        return _picture(image, name, settings)


def with_max_pixels(settings: Settings, max_pixels: int | None, *, low_detail: bool = False) -> Settings:
    """Return the settings for one image.

    Args:
        settings: those of the worker.
        max_pixels: the request's limit; None: that of the settings.
        low_detail: at most 512×512 pixels.
    """
    most = max_pixels or settings.max_pixels
    if low_detail:
        most = min(most, LOW_DETAIL_PIXELS)
    return settings if most == settings.max_pixels else settings.model_copy(update={"max_pixels": most})


def _picture(image: Image.Image, name: str, settings: Settings) -> Picture:
    properties = avif_properties(image)
    left, top, right, bottom = box = crop_of(properties, image.size)
    size = fitted_size((right - left, bottom - top), settings.max_pixels)
    if not isinstance(image, ImageFile):
        decoded = _decoded_tiff(image) if image.format == "TIFF" else image
        return Picture(_turned(_shown(decoded, size, colours_of(decoded, properties)), image))
    # Before the pixels are decoded: Pillow closes the file then.
    colours, height = colours_of(image, properties), image.height

    def load(image: ImageFile) -> None:
        if settings.jpeg_draft:
            # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is no smaller than the wanted size.
            image.draft("RGB", size)
        scale_transparent_colour(image)
        image.load()

    load(image)
    flaw = flaw_of(image, height, load, name)
    fill_empty_alpha(image)
    cropped = image.crop(box) if image.format == "AVIF" and box != (0, 0, *image.size) else image
    # The turn comes last, because it is cheap on few pixels. The tag is read from the original.
    return Picture(_turned(_shown(cropped, size, colours), image), flaw)


def _decoded_tiff(image: Image.Image) -> Image.Image:
    """Decode a TIFF of a kind that Pillow does not read."""
    # Imported here: the modules of rare kinds of TIFF take a while.
    from jobs.images.formats.tiff_image import TiffImage
    from worker.pixels.tiff.tiff_pixels import decoded_tiff

    assert isinstance(image, TiffImage)
    return decoded_tiff(image)


def _shown(image: Image.Image, size: tuple[int, int], colours: Colours) -> Image.Image:
    """Return a decoded image in this size as sRGB, on white, and on a canvas if it is thin."""
    levels = levels_of(image)
    if has_alpha(image):
        # Colours are converted before they are mixed with white.
        rgb = _scaled(image, size, lambda band: colours.layer_to_srgb(levels(band)))
    else:
        rgb = colours.to_srgb(_scaled(image, size, levels))
    return on_canvas(rgb)


def _scaled(image: Image.Image, size: tuple[int, int], levels: Levels) -> Image.Image:
    """Return the image in this size as RGB or, if it is print colours, as CMYK."""
    if image.size != size:
        return scaled_rgb(image, size, levels)
    return image if image.mode == "CMYK" else on_white(levels(image))


def _turned(rgb: Image.Image, original: Image.Image) -> Image.Image:
    orientation = _orientation_of(original)
    rgb.info = {}
    rgb.getexif().clear()
    if orientation not in range(2, 9):
        return rgb
    rgb.getexif()[0x0112] = orientation
    turned = ImageOps.exif_transpose(rgb)
    turned.info = {}
    return turned


def _orientation_of(image: Image.Image) -> object:
    """Return the orientation in the image's metadata; 1 (upright) if they cannot be read."""
    try:
        return image.getexif().get(0x0112, 1)
    except (ValueError, LookupError, TypeError, SyntaxError, OSError, struct.error):
        return 1
