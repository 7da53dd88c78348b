"""A canvas for pictures that are too long and thin for models' processors."""

from __future__ import annotations

from PIL import Image

from jobs.images.scaled_size import MAX_ASPECT

_WHITE = (255, 255, 255)


def on_canvas(image: Image.Image) -> Image.Image:
    """Return an RGB image, on the middle of a white canvas if it is longer than `MAX_ASPECT` times its short side."""
    shortest = -(-max(image.size) // MAX_ASPECT)
    width, height = max(image.width, shortest), max(image.height, shortest)
    if (width, height) == image.size:
        return image
    canvas = Image.new("RGB", (width, height), _WHITE)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
