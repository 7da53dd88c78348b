"""BMP files: every layout of bit fields and palettes, every header, and runs."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, UnsupportedImageError
from jobs.images.opening import check_image
from tests.support.bmps import Masks, bmp, field_pixels, index_pixels
from tests.support.scenes import draw
from worker.pixels.decode import decode

#: A picture whose width is no multiple of a row's padding.
PICTURE = draw(5, (61, 40)).image
RGB_444, RGB_555, RGB_565 = (0xF00, 0xF0, 0xF, 0), (0x7C00, 0x3E0, 0x1F, 0), (0xF800, 0x7E0, 0x1F, 0)
USUAL = (0xFF0000, 0xFF00, 0xFF, 0)


def far(content: bytes, settings: Settings, expected: Image.Image = PICTURE) -> float:
    """Return the mean difference between the decoded picture and the expected one."""
    image = decode(content, settings)
    assert (image.mode, image.size) == ("RGB", expected.size)
    return float(np.abs(np.asarray(image).astype(int) - np.asarray(expected)).mean())


@pytest.mark.parametrize(
    ("bits", "masks", "within"),
    [
        (16, RGB_444, 8),
        (16, RGB_555, 4),
        (16, RGB_565, 4),
        (16, (0x1F, 0x7E0, 0xF800, 0), 4),
        (16, (0xF, 0xF0, 0xF00, 0xF000), 8),
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000), 4),
        (32, USUAL, 0),
        (32, (0xFF, 0xFF00, 0xFF0000, 0), 0),
        (32, (0xFF0000, 0xFF, 0xFF00, 0xFF000000), 0),
        (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 0),
        (32, (0xFFE00000, 0x1FFC00, 0x3FF, 0), 0),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 0),
    ],
)
@pytest.mark.parametrize("header", [40, 56, 108, 124])
def test_bit_fields(bits: int, masks: Masks, within: float, header: int, settings: Settings) -> None:
    """The masks follow a header of 40 bytes, and are part of a longer one; the first line may be the top one."""
    if header == 40:
        masks = (*masks[:3], 0)
    for bottom_up in (True, False):
        pixels = field_pixels(PICTURE, bits, masks, bottom_up=bottom_up)
        written = masks[:3] if header == 40 else masks
        content = bmp(PICTURE.size, pixels, bits=bits, compression=3, header=header, masks=written, bottom_up=bottom_up)
        assert far(content, settings) <= within


def test_bit_fields_with_alpha_behind_a_short_header(settings: Settings) -> None:
    """Compression 6 has four masks; clear pixels are white."""
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    image = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    image.putpixel((4, 4), (255, 0, 0, 255))
    content = bmp(image.size, field_pixels(image, 32, masks), bits=32, compression=6, masks=masks)
    decoded = decode(content, settings)
    assert (decoded.getpixel((0, 0)), decoded.getpixel((4, 4))) == ((255, 255, 255), (255, 0, 0))


def test_pixels_of_16_and_32_bits_without_masks(settings: Settings) -> None:
    """The fields are 5 and 8 bits wide, and the rest is not alpha."""
    for bits, masks, within in ((16, RGB_555, 4), (32, USUAL, 0)):
        for header in (40, 64, 124):
            content = bmp(PICTURE.size, field_pixels(PICTURE, bits, masks), bits=bits, header=header)
            assert far(content, settings) <= within


@pytest.mark.parametrize("masks", [(0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF, 0xFF00, 0xFF0000, 0xFF000000)])
def test_an_alpha_channel_that_is_empty_everywhere_is_opaque(masks: Masks, settings: Settings) -> None:
    """The picture lies on its own ground, and not on white; scaled down too."""
    image = PICTURE.copy()
    image.putalpha(0)
    content = bmp(image.size, field_pixels(image, 32, masks), bits=32, compression=3, header=108, masks=masks)
    assert far(content, settings) == 0
    assert np.asarray(decode(content, settings.model_copy(update={"max_pixels": 1024}))).std() > 10


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("header", [12, 16, 40, 64, 124])
def test_palettes(bits: int, header: int, settings: Settings) -> None:
    """The palettes of OS/2 have three bytes a colour, and its short headers leave fields out."""
    image = PICTURE.quantize(1 << bits)
    colours = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)[:, ::-1]
    colours = np.pad(colours, ((0, (1 << bits) - len(colours)), (0, 0 if header == 12 else 1)))
    content = bmp(image.size, index_pixels(image, bits), bits=bits, header=header, palette=colours.tobytes())
    assert far(content, settings, image.convert("RGB")) == 0


def test_short_and_oversized_palettes(settings: Settings) -> None:
    """Colours that are missing are black, and colours behind the last one are skipped."""
    image = Image.new("P", (4, 1))
    image.putdata([0, 1, 2, 255])
    palette = bytes([10, 20, 30, 0, 40, 50, 60, 0])
    short = bmp(image.size, index_pixels(image, 8), bits=8, palette=palette, colours=2)
    unsaid = bmp(image.size, index_pixels(image, 8), bits=8, palette=palette)
    for content in (short, unsaid):
        assert decode(content, settings).tobytes() == bytes([30, 20, 10, 60, 50, 40, *bytes(6)])
    long = bmp(image.size, index_pixels(image, 8), bits=8, palette=palette + bytes(4 * 298), colours=300)
    assert decode(long, settings).tobytes() == bytes([30, 20, 10, 60, 50, 40, *bytes(6)])


GREYS = b"".join(bytes([level, level, level, 0]) for level in range(256))
#: Runs of 8 bits, and the lines they draw from the top to the bottom, four pixels wide.
RUNS = {
    "runs": (b"\x02\x01\x02\x02\0\0\x04\x03\0\1", [[3, 3, 3, 3], [1, 1, 2, 2]]),
    "literal": (b"\0\x03\x01\x02\x03\0\0\0\x01\x09\0\1", [[9, 0, 0, 0], [1, 2, 3, 0]]),
    "a jump": (b"\x01\x05\0\x02\x02\x01\x01\x06\0\1", [[0, 0, 0, 6], [5, 0, 0, 0]]),
    "too long": (b"\x07\x05\0\0\x01\x06\0\1", [[6, 0, 0, 0], [5, 5, 5, 5]]),
    "cut off": (b"\x04\x05\0", [[0, 0, 0, 0], [5, 5, 5, 5]]),
    "too many lines": (b"\x04\x05\0\0\0\0\0\0\x04\x09\0\1", [[0, 0, 0, 0], [5, 5, 5, 5]]),
    "a cut jump": (b"\x04\x05\0\x02\x01", [[0, 0, 0, 0], [5, 5, 5, 5]]),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_of_8_bits(name: str, settings: Settings) -> None:
    """Pixels that no run reaches are of the first colour, and nothing is drawn outside."""
    data, lines = RUNS[name]
    content = bmp((4, 2), data, bits=8, compression=1, palette=GREYS)
    assert np.asarray(decode(content, settings))[:, :, 0].tolist() == lines


def test_runs_of_4_bits(settings: Settings) -> None:
    """A run alternates between two colours; literal pixels are two a byte."""
    data = b"\x03\x12\0\0\0\x05\x34\x56\x70\0\0\1"
    content = bmp((5, 2), data, bits=4, compression=2, palette=GREYS[: 4 * 16])
    assert np.asarray(decode(content, settings))[:, :, 0].tolist() == [[3, 4, 5, 6, 7], [1, 2, 1, 0, 0]]


def test_a_small_file_with_many_empty_lines_is_decoded_at_once(settings: Settings) -> None:
    """Each line is two bytes; a decoder that fills lines pixel by pixel takes minutes."""
    content = bmp((10_000, 19_000), b"\0\0" * 19_000 + b"\0\1", bits=8, compression=1, palette=GREYS)
    assert decode(content, settings.model_copy(update={"max_pixels": 1024})).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("bits", "compression", "header"),
    [(24, 4, 40), (24, 5, 40), (1, 3, 64), (24, 4, 64), (3, 0, 40), (0, 0, 40), (24, 0, 66), (8, 9, 40)],
)
def test_other_kinds_are_refused_as_such(bits: int, compression: int, header: int, settings: Settings) -> None:
    """The kinds are JPEG and PNG inside, fax, RLE of 24 bits, odd depths and unknown headers."""
    content = bmp((4, 4), bytes(99), bits=bits, compression=compression, header=header)
    with pytest.raises(UnsupportedImageError, match=r"^a\.bmp is a BMP of a kind that is not supported\.$"):
        check_image(content, settings, name="a.bmp")


def test_damaged_files_end_with_an_image_error(settings: Settings) -> None:
    """The files are cut off, and of impossible sizes."""
    good = bmp(PICTURE.size, field_pixels(PICTURE, 16, RGB_444), bits=16, compression=3, masks=RGB_444[:3])
    small = settings.model_copy(update={"max_image_pixels": 1_000_000})
    for end in range(0, len(good), 97):
        with pytest.raises(ImageError):
            decode(good[:end], small)
    for width, height in ((0, 1), (1, 0), (-5, 5), (2**31 - 1, 2**31 - 1), (5, -(2**31))):
        content = good[:18] + struct.pack("<ii", width, height) + good[26:]
        with pytest.raises(ImageError):
            decode(content, small)


def test_pillow_still_reads_the_usual_kind(settings: Settings) -> None:
    """Files that Pillow wrote are read to the pixel."""
    file = io.BytesIO()
    PICTURE.save(file, "BMP")
    assert far(file.getvalue(), settings) == 0
