"""Transparent images on a white ground."""

from __future__ import annotations

from PIL import Image
from PIL.ImageFile import ImageFile

_WHITE = (255, 255, 255)
#: Pillow's names of grey pixels with few bits, and the factors to 8 bits.
_GREY_STEPS = {"L;2": 85, "L;4": 17}


def has_alpha(image: Image.Image) -> bool:
    """Check whether the image has an alpha channel or transparent colours."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def scale_transparent_colour(image: Image.Image) -> None:
    """Express a PNG's transparent colour in the 8 bits of the decoded pixels instead of the file's 2, 4 or 16.

    Call it before the pixels are decoded: Pillow then forgets how many bits the file has.
    """
    colour = image.info.get("transparency")
    raw_mode = image.tile[0].args if isinstance(image, ImageFile) and image.format == "PNG" and image.tile else None
    if raw_mode in _GREY_STEPS and isinstance(colour, int):
        image.info["transparency"] = colour * _GREY_STEPS[raw_mode]
    elif raw_mode == "RGB;16B" and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def on_white(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, with white behind its transparent pixels."""
    if not has_alpha(image):
        return _without_file(image) if image.mode == "RGB" else image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", layer.size, _WHITE)
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground


def _without_file(image: Image.Image) -> Image.Image:
    """Return an RGB image without its file, and with the same pixels in memory: a copy takes as long as decoding them.

    So neither image may be drawn into. The pixels are in memory: Pillow maps no file of this mode.
    """
    image.load()
    return image._new(image.im)  # noqa: SLF001  # the step of `copy` after the copy; see tests/worker/pixels/test_transparency.py


def fill_empty_alpha(image: Image.Image) -> None:
    """Make a BMP opaque if its alpha is 0 everywhere: many programs leave the channel of opaque pictures empty."""
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)
