"""Pictures that are too long and thin: they are put onto a canvas that processors take."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from worker.pixels.decode import decode


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 101), (2, 101)),
        ((5000, 1), (5000, 50)),
        ((20, 60_000), (103, 10_240)),
        ((150_000, 2), (10_240, 103)),
        ((1000, 10), (1000, 10)),
        ((100, 1), (100, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_a_thin_picture_lies_on_the_middle_of_a_white_canvas(
    size: tuple[int, int], expected: tuple[int, int], settings: Settings
) -> None:
    """The canvas is within the budget of pixels, and 100 times as long as it is wide at most."""
    file = io.BytesIO()
    Image.new("RGB", size, (200, 0, 0)).save(file, "PNG")
    image = decode(file.getvalue(), settings)
    assert image.size == expected
    assert image.width * image.height <= settings.max_pixels * 1.02
    middle = ((expected[0] - 1) // 2, (expected[1] - 1) // 2)
    assert image.getpixel(middle) == (200, 0, 0)
    if expected[0] / expected[1] != size[0] / size[1]:
        assert image.getpixel((expected[0] - 1, expected[1] - 1)) == (255, 255, 255)


def test_a_thin_picture_is_turned(settings: Settings, tmp_path: Path) -> None:
    """The orientation is that of the picture on its canvas."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3000, 3)).save(tmp_path / "a.png", exif=exif)
    assert decode(tmp_path / "a.png", settings).size == (30, 3000)
