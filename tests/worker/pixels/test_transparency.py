"""Transparent colours of PNGs: white, with whatever number of bits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from tests.support.odd_pictures import png
from worker.pixels.decode import decode
from worker.pixels.transparency import on_white


@pytest.mark.parametrize("max_pixels", [1024, 10_000])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_value_is_white(depth: int, max_pixels: int, settings: Settings) -> None:
    """The value counts in the file's bits; its neighbours keep their tone, also in a picture that is scaled down."""
    largest = 2**depth - 1
    levels = np.repeat([0, largest // 3, largest // 3 + (depth == 16), largest], 24)
    values = np.tile(levels, (64, 1))[..., None]
    limited = settings.model_copy(update={"max_pixels": max_pixels})
    found = np.asarray(decode(png(values, depth=depth, colour=0, transparent=(largest // 3,)), limited))[..., 0]
    shown = np.where(levels == largest // 3, 255, levels * 255 // largest)
    middle = np.array([1, 3, 5, 7])
    assert (abs(found[5, middle * found.shape[1] // 8] - shown[middle * 12].astype(int)) <= 1).all()


def test_a_transparent_colour_of_16_bits_is_white(settings: Settings) -> None:
    """Pillow decodes such colours to 8 bits, and would look for the 16-bit values there."""
    values = np.tile(np.repeat([0x1234, 0x5678], 8), (16, 1))[..., None].repeat(3, axis=2)
    found = np.asarray(decode(png(values, depth=16, colour=2, transparent=(0x1234,) * 3), settings))
    assert found[0, 0].tolist() == [255] * 3
    assert found[0, -1].tolist() == [0x56] * 3


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_only_pixels_of_another_mode_are_copied(mode: str) -> None:
    """A copy of RGB pixels takes as long as decoding them. The image that was opened stays as it was."""
    file = io.BytesIO()
    Image.effect_noise((32, 16), 64).convert(mode).save(file, "PNG", dpi=(72, 72))
    opened = Image.open(file)
    opened.load()
    shown = on_white(opened)
    assert type(shown) is Image.Image
    assert (shown.im is opened.im) == (mode == "RGB")
    assert shown.tobytes() == opened.convert("RGB").tobytes()
    shown.info.clear()
    assert "dpi" in opened.info
