"""From a file's bytes to the pixels that a model looks at: RGB, upright, on white, no larger than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jobs.image_check import open_image
from jobs.settings import Settings

#: The largest area of an image of which no detail is asked for: OpenAI's 512×512.
LOW_DETAIL_PIXELS = 512 * 512
_WHITE = (255, 255, 255)


def decode(
    source: Path | bytes, settings: Settings, *, low_detail: bool = False, name: str | None = None
) -> Image.Image:
    """The image in RGB, with its EXIF orientation applied, scaled down to at most `settings.max_pixels`.

    `name`: what errors call it; without it a file's own. Raises ImageError or a subclass, whatever is wrong with the file.
    """
    most = min(settings.max_pixels, LOW_DETAIL_PIXELS) if low_detail else settings.max_pixels
    with open_image(source, settings, name=name) as image:
        return _upright_rgb(image, most, draft=settings.jpeg_draft)


def _upright_rgb(image: Image.Image, max_pixels: int, *, draft: bool) -> Image.Image:
    scale = min(1.0, (max_pixels / (image.width * image.height)) ** 0.5)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if draft:
        # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is still no smaller than what is wanted.
        image.draft("RGB", size)
    image.load()
    rgb = _on_white(_eight_bit(image))
    if rgb.width * rgb.height > max_pixels:
        rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    # Last: turning the few pixels that are left is cheap. The tag is read from the original.
    return _turned(rgb, image)


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


def _eight_bit(image: Image.Image) -> Image.Image:
    """Sixteen-bit and floating-point grey values scaled to eight bits; Pillow's own conversion would clip them."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if image.mode.startswith("I;16") or (image.mode == "I" and values.max(initial=0) <= 65535):
        values = values / 257
    elif image.mode == "F" and values.max(initial=0) <= 1:
        values = values * 255
    elif values.max(initial=0) > 255 or values.min(initial=0) < 0:
        low, high = values.min(), values.max()
        values = (values - low) * (255 / (high - low or 1))
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if not has_alpha:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGB", layer.size, _WHITE)
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground
