"""The conversion of 16-bit and floating-point values to 8 bits a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.pixels.bands import bands

#: A conversion of a band from the image's own mode to 8 bits a channel.
Levels: TypeAlias = Callable[[Image.Image], Image.Image]


def levels_of(image: Image.Image) -> Levels:
    """Return the conversion of 16-bit and floating-point grey values to 8 bits; Pillow's own conversion would clip them."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return lambda band: band
    lowest, highest = [], []
    for _, band in bands(image):
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
