"""The conversion of 16-bit, 32-bit and floating-point values to 8 bits a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: A conversion of a band from the image's own mode to 8 bits a channel.
Levels: TypeAlias = Callable[[Image.Image], Image.Image]
#: Values that are converted in one go.
_BAND_VALUES = 1 << 18


def levels_of(image: Image.Image) -> Levels:
    """Return the conversion of 16-bit grey values to 8 bits; Pillow's own conversion would clip them.

    One value may be transparent. It is compared in 16 bits, because its neighbours are opaque.
    """
    if not image.mode.startswith("I;16"):
        return lambda band: band
    transparent = image.info.get("transparency")

    def to_grey(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        grey = Image.fromarray(to_8_bits(values[..., None], (0, 65535))[..., 0])
        if transparent is not None:
            grey.putalpha(Image.fromarray(np.where(values == transparent, np.uint8(0), np.uint8(255))))
        return grey

    return to_grey


def to_8_bits(values: NDArray[Any], black_and_white: tuple[float, float]) -> NDArray[np.uint8]:
    """Map values so that black becomes 0 and white 255. The array has three axes; values that are no numbers become black."""
    black, white = black_and_white
    scaled = np.empty(values.shape, np.uint8)
    height = max(1, _BAND_VALUES // max(1, values[:1].size))
    for top in range(0, len(values), height):
        band = (values[top : top + height].astype(np.float64) - black) * (255 / (white - black))
        band = np.nan_to_num(band, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        scaled[top : top + height] = band.clip(0, 255, out=band).round(out=band)
    return scaled
