"""Transparent images on a white ground."""

from __future__ import annotations

from PIL import Image

_WHITE = (255, 255, 255)


def has_alpha(image: Image.Image) -> bool:
    """Check whether the image has an alpha channel or transparent colours."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def on_white(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, with white behind its transparent pixels."""
    if not has_alpha(image):
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", layer.size, _WHITE)
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground


def fill_empty_alpha(image: Image.Image) -> None:
    """Make a BMP opaque if its alpha is 0 everywhere: many programs leave the channel of opaque pictures empty."""
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)
