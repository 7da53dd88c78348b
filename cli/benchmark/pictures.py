"""Pictures that cost as much as photographs: soft light, edges and grain, as JPEGs of a camera's shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

#: Long sides in pixels, and long side : short side.
LONG_SIDES = (640, 800, 1024, 1280, 1440, 1600)
ASPECTS = (4 / 3, 3 / 2, 16 / 9, 1.0)
QUALITY = 85
#: Standard deviation of the grain, of 255: at this quality it makes files of about a bit a pixel and more, as photographs are.
GRAIN = 5.0


def save_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write `photo-000.jpg` and so on into the folder; the same for the same seed, and no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo-{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        _picture(np.random.default_rng([seed, number])).save(path, quality=QUALITY)
    return paths


def _picture(rng: np.random.Generator) -> Image.Image:
    long = int(rng.choice(LONG_SIDES))
    short = round(long / float(rng.choice(ASPECTS)))
    size = (long, short) if rng.random() < 0.6 else (short, long)
    # A few random colours stretched over the whole frame look like soft light; more of them, fainter, like lit objects.
    light = _field(rng, size, (4, 3))
    picture = Image.blend(light, _field(rng, size, (24, 18)), 0.35)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(3, 9))):
        _shape(draw, rng, size)
    grain = rng.normal(0, GRAIN, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def _field(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> Image.Image:
    colours = rng.integers(0, 256, (cells[1], cells[0], 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)


def _shape(draw: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int]) -> None:
    left, top = (int(rng.integers(0, side)) for side in size)
    right, bottom = (start + int(rng.integers(30, max(size) // 3)) for start in (left, top))
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    outline = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    outline((left, top, right, bottom), fill=(red, green, blue))
