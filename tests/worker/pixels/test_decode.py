"""Decoding of images: every format, mode and orientation comes out as the same upright picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from cli.benchmark.pictures import save_pictures
from jobs.configuration.settings import Settings
from tests.support.scenes import draw
from worker.pixels.decode import decode, with_max_pixels

#: EXIF orientations, and for each the turn of the stored pixels that the orientation undoes.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture
def picture() -> Image.Image:
    """A scene without symmetry: three shapes in a wide picture."""
    return next(drawn.image for drawn in (draw(seed, (96, 64)) for seed in range(99)) if len(drawn.scene.shapes) == 3)


def pixels(image: Image.Image) -> npt.NDArray[np.int16]:
    """Return the pixels as numbers that can be subtracted."""
    return np.asarray(image).astype(np.int16)


def far(image: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures of one size, 0 to 255."""
    assert image.mode == "RGB"
    assert image.size == other.size
    return float(np.abs(pixels(image) - pixels(other)).mean())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "tiff", "bmp", "heic", "avif"])
def test_every_format_is_read(picture: Image.Image, tmp_path: Path, settings: Settings, suffix: str) -> None:
    """The picture loses no more than its format loses."""
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{suffix}"
    picture.save(path)
    assert far(decode(path, settings), picture) < 8


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "heic", "avif"])
def test_a_picture_that_keeps_its_size_keeps_nothing_of_its_file(
    picture: Image.Image, tmp_path: Path, settings: Settings, suffix: str
) -> None:
    """Not its metadata, and not its bytes: the file may be written over afterwards."""
    pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    picture.save(path, exif=exif.tobytes(), dpi=(72, 72))
    with Image.open(path) as opened:
        expected = opened.convert("RGB").tobytes()
    decoded = decode(path, settings)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert decoded.tobytes() == expected
    assert type(decoded) is Image.Image
    assert (decoded.info, dict(decoded.getexif()), decoded.format) == ({}, {}, None)


def test_low_detail_is_fewer_pixels(picture: Image.Image, tmp_path: Path, settings: Settings) -> None:
    """A picture is scaled to the area of 512 × 512 in its own proportions; a smaller picture keeps its size."""
    path = tmp_path / "a.png"
    picture.resize((1200, 800)).save(path)
    assert decode(path, settings).size == (1200, 800)
    width, height = decode(path, with_max_pixels(settings, None, low_detail=True)).size
    assert (width, height) == (627, 418)
    picture.save(path)
    assert decode(path, with_max_pixels(settings, None, low_detail=True)).size == picture.size


def test_a_request_may_ask_for_fewer_or_more_pixels_than_the_settings(
    picture: Image.Image, tmp_path: Path, settings: Settings
) -> None:
    """The request's limit replaces the worker's, and low detail still holds."""
    path = tmp_path / "a.png"
    picture.resize((1200, 800)).save(path)
    small = settings.model_copy(update={"max_pixels": 10_000})
    assert decode(path, with_max_pixels(small, 240_000)).size == (600, 400)
    assert decode(path, with_max_pixels(settings, 240_000)).size == (600, 400)
    assert decode(path, with_max_pixels(settings, 960_000, low_detail=True)).size == (627, 418)


def test_the_content_decides_and_not_the_name(picture: Image.Image, tmp_path: Path, settings: Settings) -> None:
    """A PNG called .jpg is a PNG."""
    path = tmp_path / "a.jpg"
    picture.save(path, format="PNG")
    assert far(decode(path, settings), picture) == 0


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp", "heic"])
def test_a_turned_photograph_comes_out_upright(
    picture: Image.Image, tmp_path: Path, settings: Settings, orientation: int, suffix: str
) -> None:
    """The orientation is applied once, and not twice: the HEIC decoder applies it by itself."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    picture.transpose(STORED[orientation]).save(path, exif=exif.tobytes())
    assert far(decode(path, settings), picture) < 8


@pytest.mark.parametrize("mode", ["P", "L", "1", "CMYK", "RGBA", "LA", "I;16"])
def test_every_mode_becomes_the_same_picture(
    picture: Image.Image, tmp_path: Path, settings: Settings, mode: str
) -> None:
    """The modes are palettes, grey, black and white, print colours, alpha and sixteen bits."""
    expected = picture
    if mode in ("L", "LA", "I;16"):
        expected = picture.convert("L").convert("RGB")
    elif mode == "1":
        expected = picture.convert("1").convert("RGB")
    if mode == "I;16":
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        stored = Image.fromarray(grey)
    else:
        stored = picture.quantize() if mode == "P" else picture.convert(mode)
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    stored.save(path)
    assert far(decode(path, settings), expected) < 12


def test_transparent_pixels_are_white(tmp_path: Path, settings: Settings) -> None:
    """A plain conversion would make them black, and hide black drawings."""
    for name, mode in (("rgba.png", "RGBA"), ("palette.png", "P"), ("grey.png", "LA")):
        clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        stored = clear.convert(mode)
        if mode == "P":
            stored.info["transparency"] = 0
        stored.save(tmp_path / name)
        assert pixels(decode(tmp_path / name, settings)).min() == 255


def test_large_pictures_are_scaled_to_the_budget(tmp_path: Path) -> None:
    """Pictures keep their proportions, and small ones their size."""
    settings = Settings(data_dir=tmp_path, max_pixels=10_000)
    draw(1, (640, 480)).image.save(tmp_path / "large.jpg")
    draw(1, (64, 48)).image.save(tmp_path / "small.png")
    large = decode(tmp_path / "large.jpg", settings)
    assert 9_800 < large.width * large.height <= 10_100
    assert large.width / large.height == pytest.approx(4 / 3, rel=0.02)
    assert decode(tmp_path / "small.png", settings).size == (64, 48)


def test_a_jpeg_that_is_decoded_small_shows_the_same(tmp_path: Path) -> None:
    """Decoding at a part of the size is faster, and changes the picture no more than scaling does."""
    settings = Settings(data_dir=tmp_path, max_pixels=10_000)
    image = draw(5, (640, 480)).image
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "a.png")
    assert far(decode(tmp_path / "a.jpg", settings), decode(tmp_path / "a.png", settings)) < 4


@pytest.mark.parametrize("max_pixels", [10_000, 76_000, 77_000, 80_000, 300_000])
def test_a_jpeg_that_is_decoded_small_is_as_large_as_any_other(max_pixels: int, tmp_path: Path) -> None:
    """Half of its sides are 76,800 pixels: too few if the budget is a little more."""
    settings = Settings(data_dir=tmp_path, max_pixels=max_pixels)
    image = draw(5, (640, 480)).image
    image.save(tmp_path / "a.jpg")
    image.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.jpg", settings).size == decode(tmp_path / "a.png", settings).size


def test_without_the_draft_a_jpeg_is_decoded_in_full(tmp_path: Path) -> None:
    """Without the draft the pixels are those of the same picture in a lossless file; with it they differ a little."""
    save_pictures(tmp_path, 1)
    path = tmp_path / "photo-000.jpg"
    with Image.open(path) as jpeg:
        jpeg.save(tmp_path / "same.png")
    full = Settings(data_dir=tmp_path, max_pixels=10_000, jpeg_draft=False)
    lossless = decode(tmp_path / "same.png", full)
    assert far(decode(path, full), lossless) == 0
    assert 0 < far(decode(path, full.model_copy(update={"jpeg_draft": True})), lossless) < 4
