"""Kinds of TIFF that Pillow does not read or reads wrongly: each comes out as the picture that was stored."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from jobs.configuration.settings import Settings
from jobs.images.formats.tiff_kinds import (
    ASSOCIATED,
    CIELAB,
    CMYK,
    FLOAT,
    ICCLAB,
    MASK,
    MAX_SAMPLE_VALUE,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    PALETTE,
    RGB,
    SIGNED,
    UNASSOCIATED,
    UNSIGNED,
    YCBCR,
)
from tests.support.scenes import draw
from tests.support.tiffs import COLOR_MAP, Page, scaled, tiff
from worker.pixels.decode import decode

PICTURE = draw(3, (96, 64)).image
ALPHA = np.tile(np.linspace(20, 255, 96), (64, 1)).astype(np.uint8)
BYTE_ORDERS: tuple[Literal["<"], Literal[">"]] = ("<", ">")
#: Kinds of samples: bits and format.
SAMPLES = [
    *((bits, UNSIGNED) for bits in (8, 10, 12, 14, 16, 32, 64)),
    *((bits, SIGNED) for bits in (8, 16, 32, 64)),
    *((bits, FLOAT) for bits in (16, 32, 64)),
]


def difference(content: bytes, expected: Image.Image | NDArray[Any], settings: Settings) -> float:
    """Return the mean difference of the decoded file from the expected picture, 0 to 255."""
    found = np.asarray(decode(content, settings)).astype(float)
    shown = np.asarray(expected.convert("RGB") if isinstance(expected, Image.Image) else expected).astype(float)
    assert found.shape == shown.shape
    return float(np.abs(found - shown).mean())


def colours_of(photometric: int) -> NDArray[np.uint8]:
    """Return the picture's 8-bit samples in a photometric interpretation."""
    if photometric in (CIELAB, ICCLAB):
        profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
        lab = ImageCms.applyTransform(PICTURE, transform)
        assert lab is not None
        signed = np.frombuffer(lab.tobytes(), np.uint8).reshape(64, 96, 3)
        return signed if photometric == CIELAB else signed ^ np.array([0, 128, 128], np.uint8)
    mode = {MIN_IS_WHITE: "L", MIN_IS_BLACK: "L", CMYK: "CMYK", YCBCR: "YCbCr"}.get(photometric, "RGB")
    values = np.asarray(PICTURE.convert(mode))
    values = values[..., None] if mode == "L" else values
    return 255 - values if photometric == MIN_IS_WHITE else values


@pytest.mark.parametrize(("bits", "form"), SAMPLES)
@pytest.mark.parametrize("photometric", [MIN_IS_WHITE, MIN_IS_BLACK, RGB, CMYK])
def test_every_width_and_order_of_samples(photometric: int, bits: int, form: int, settings: Settings) -> None:
    """Grey, RGB and CMYK, contiguous and in planes, in both byte orders, TIFF and BigTIFF, show the stored picture."""
    expected = PICTURE.convert("L") if photometric in (MIN_IS_WHITE, MIN_IS_BLACK) else PICTURE
    values = scaled(colours_of(photometric), bits, form)
    for planar in (False, True):
        page = Page(values, bits, form, photometric, planar=planar)
        for byteorder in BYTE_ORDERS:
            for big in (False, True):
                found = difference(tiff(page, byteorder=byteorder, big=big), expected, settings)
                assert found < 6, (planar, byteorder, big)


@pytest.mark.parametrize(("bits", "form"), SAMPLES)
@pytest.mark.parametrize("extra", [UNASSOCIATED, ASSOCIATED, 0])
def test_extra_samples_are_transparency_if_they_say_so(bits: int, form: int, extra: int, settings: Settings) -> None:
    """Transparent pixels lie on white, also if the colours are multiplied by alpha; an infrared sample changes nothing."""
    for photometric in (MIN_IS_BLACK, MIN_IS_WHITE, RGB, CMYK):
        grey = photometric in (MIN_IS_WHITE, MIN_IS_BLACK)
        opaque = np.asarray(PICTURE.convert("L").convert("RGB") if grey else PICTURE).astype(float)
        share = ALPHA[..., None] / 255 if extra else np.ones((64, 96, 1))
        colours = colours_of(photometric) * (share if extra == ASSOCIATED else 1)
        together = np.concatenate([colours, ALPHA[..., None]], axis=2).astype(np.uint8)
        for planar in (False, True):
            page = Page(scaled(together, bits, form), bits, form, photometric, (extra,), planar=planar)
            assert difference(tiff(page), opaque * share + 255 * (1 - share), settings) < 6, (photometric, planar)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [YCBCR, CIELAB, ICCLAB])
def test_other_interpretations(photometric: int, bits: int, settings: Settings) -> None:
    """Pictures as luma and chroma, and as lightness and two axes, also with transparency."""
    colours: NDArray[Any] = colours_of(photometric)
    if bits == 16:
        # CIELab's a and b are signed: their low byte continues the high one.
        colours = colours.astype(np.uint16) * (256 if photometric == CIELAB else 257)
    page = Page(colours, bits, photometric=photometric, tags={530: (1, 1)} if photometric == YCBCR else {})
    assert difference(tiff(page), PICTURE, settings) < 6
    alpha = (ALPHA.astype(np.uint32) * (2**bits - 1) // 255).astype(colours.dtype)[..., None]
    page.values, page.extras = np.concatenate([colours, alpha], axis=2), (UNASSOCIATED,)
    shown = np.asarray(PICTURE) * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None]
    assert difference(tiff(page), shown, settings) < 6


@pytest.mark.parametrize(("bits", "factor"), [(8, 257), (8, 1), (16, 257), (4, 257), (4, 1), (2, 257)])
def test_palettes(bits: int, factor: int, settings: Settings) -> None:
    """The colours of a palette are 16-bit values, or 8-bit ones of sloppy programs; the indices have up to 16 bits."""
    indexed = PICTURE.quantize(min(2**bits, 256), dither=Image.Dither.NONE)
    palette = indexed.getpalette()
    assert palette is not None
    table = np.zeros((3, 2**bits), np.uint32)
    table[:, : len(palette) // 3] = np.reshape(palette, (-1, 3)).T
    values = np.asarray(indexed)[..., None].astype(np.uint16 if bits == 16 else np.uint8)
    colormap = {COLOR_MAP: tuple(int(one) * factor for one in table.ravel())}
    assert difference(tiff(Page(values, bits, photometric=PALETTE, tags=colormap)), indexed, settings) < 2


def test_a_mask_is_white_inside(settings: Settings) -> None:
    """A transparency mask that is the only page is a picture in black and white."""
    mask = (ALPHA > 128)[..., None].astype(np.uint8)
    found = difference(tiff(Page(mask, 1, photometric=MASK)), np.repeat(mask * 255, 3, axis=2), settings)
    assert found == 0


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_words_that_are_not_full(bits: int, settings: Settings) -> None:
    """10 to 14 bits in 16-bit words, which the header calls by either number, are as light as packed ones."""
    values = scaled(colours_of(MIN_IS_BLACK), bits, UNSIGNED)
    pages = [
        Page(values, bits, photometric=MIN_IS_BLACK, loose=True),
        Page(values << (16 - bits), bits, photometric=MIN_IS_BLACK, loose=True),
        Page(values, 16, photometric=MIN_IS_BLACK, tags={MAX_SAMPLE_VALUE: (2**bits - 1,)}),
    ]
    for page in pages:
        assert difference(tiff(page), PICTURE.convert("L"), settings) < 3


@pytest.mark.parametrize(
    ("compression", "predictor", "kind"),
    [
        *((name, predictor, "u2") for name in ("lzw", "deflate", "zstd", "packbits", "lzma") for predictor in (1, 2)),
        *((name, 3, "f4") for name in ("lzw", "deflate", "zstd")),
        ("lerc", 1, "f4"),
        ("lerc", 1, "u2"),
        ("webp", 1, "u1"),
        ("jpeg", 1, "u1"),
        ("jpeg2000", 1, "u2"),
    ],
)
def test_compressions(compression: str, predictor: int, kind: str, settings: Settings) -> None:
    """Strips and tiles of every compression, with the predictors of integers and of floating-point values, are read."""
    values = np.asarray(PICTURE)
    stored = values if kind == "u1" else scaled(values, int(kind[1]) * 8, FLOAT if kind[0] == "f" else UNSIGNED)
    for tile in (None, (32, 48)):
        for planar in ("contig", "separate") if kind != "u1" else ("contig",):
            file = io.BytesIO()
            together = stored if planar == "contig" else np.moveaxis(stored, 2, 0)
            options: dict[str, Any] = {"predictor": predictor} if predictor > 1 else {}
            tifffile.imwrite(
                file, together, photometric="rgb", planarconfig=planar, compression=compression, tile=tile, **options
            )
            assert difference(file.getvalue(), PICTURE, settings) < 6, (tile, planar)


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize(
    ("outlier", "shown"),
    [(1.5, 255), (200.0, 255), (np.inf, 255), (np.nan, 0), (-np.inf, 0), (-9999.0, 0), (65504.0, 255)],
)
def test_one_odd_value_does_not_change_the_others(bits: int, outlier: float, shown: int, settings: Settings) -> None:
    """A highlight is white, a value that is no number black, and the rest looks as it does without them."""
    values = scaled(colours_of(RGB), bits, FLOAT)
    values[0, 0] = outlier
    expected = np.asarray(PICTURE).copy()
    expected[0, 0] = shown
    assert difference(tiff(Page(values, bits, FLOAT)), expected, settings) < 2


def test_floating_point_ranges(settings: Settings) -> None:
    """Values of 0 to 1, 255 or 65535 keep their meaning; others fill the range, without the value of missing pixels."""
    grey = colours_of(MIN_IS_BLACK).astype(np.float32)
    spread = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    missing = np.where(ALPHA[..., None] < 80, np.float32(-9999), grey * 7 + 300)
    highlights = grey / 255
    highlights[:3] = 12.5
    for values, expected in (
        (grey, grey),
        (grey * 257, grey),
        (grey * 7 + 300, spread),
        (highlights, np.minimum(highlights * 255, 255)),
    ):
        page = Page(values, 32, FLOAT, MIN_IS_BLACK)
        assert difference(tiff(page), np.repeat(expected, 3, axis=2), settings) < 3
    hot = grey * 7 + 300
    hot[0, 0] = 9000
    assert difference(tiff(Page(hot, 32, FLOAT, MIN_IS_BLACK)), np.repeat(spread, 3, axis=2), settings) < 3
    file = io.BytesIO()
    measured = np.where(ALPHA < 80, np.float32(255), grey[..., 0] / 10)
    tifffile.imwrite(file, measured, photometric="minisblack", extratags=[(42113, "s", 0, "255", True)])
    found = np.asarray(decode(file.getvalue(), settings))
    assert found[ALPHA >= 80].std() > 30
    found = np.asarray(decode(tiff(Page(missing, 32, FLOAT, MIN_IS_BLACK)), settings))
    known = (ALPHA >= 80)[..., None].repeat(3, axis=2)
    assert found[~known].max() == 0
    assert found[known].std() > 30


def test_signed_bytes_are_ordinary_bytes(settings: Settings) -> None:
    """Programs that call bytes signed mean values of 0 to 255, of which the light ones look negative."""
    for photometric in (MIN_IS_BLACK, RGB, CMYK):
        values = colours_of(photometric).copy().view(np.int8)
        values[0, 0] = -1 if photometric != CMYK else 0
        expected = PICTURE.convert("L") if photometric == MIN_IS_BLACK else PICTURE
        assert difference(tiff(Page(values, 8, SIGNED, photometric)), expected, settings) < 3


def test_integers_with_negative_values(settings: Settings) -> None:
    """Values around zero are shown from the darkest on; a whole signed range keeps its meaning."""
    grey = np.asarray(ImageOps.autocontrast(PICTURE.convert("L")))[..., None].astype(np.int32)
    whole = (grey * 257 - 32768).astype(np.int16)
    assert difference(tiff(Page(whole, 16, SIGNED, MIN_IS_BLACK)), np.repeat(grey, 3, axis=2), settings) < 2
    some = (grey * 10 - 700).astype(np.int16)
    spread = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    page = Page(some, 16, SIGNED, MIN_IS_BLACK)
    assert difference(tiff(page), np.repeat(spread, 3, axis=2), settings) < 3
