"""The size to which a picture is scaled down before a model sees it."""

from __future__ import annotations

#: Maximum of long side : short side, beyond which an image is put onto a canvas. Models' processors refuse longer ones.
MAX_ASPECT = 100


def fitted_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """Return the width and height of an image scaled down so that it has at most `max_pixels`, on its canvas if it is thin."""
    width, height = size
    area = max(width * height, max(size) ** 2 / MAX_ASPECT)
    scale = min(1.0, (max_pixels / area) ** 0.5)
    return max(1, round(width * scale)), max(1, round(height * scale))
