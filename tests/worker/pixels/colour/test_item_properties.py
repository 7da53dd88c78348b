"""Properties of an AVIF's picture: its crop comes before its turn, and damaged boxes are left out."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from tests.support.coloured_pictures import avif_with
from worker.pixels.colour.item_properties import avif_properties, crop_of
from worker.pixels.decode import decode

#: Four quarters: red, green, blue, white.
QUARTERS = ((255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255))


def quarters() -> Image.Image:
    """Draw a picture of four coloured quarters."""
    image = Image.new("RGB", (128, 64))
    for number, colour in enumerate(QUARTERS):
        image.paste(colour, (64 * (number % 2), 32 * (number // 2), 64 * (number % 2) + 64, 32 * (number // 2) + 32))
    return image


def aperture(width: int, height: int, right: tuple[int, int], down: tuple[int, int]) -> bytes:
    """Return the content of a `clap`: its size, and how far its middle lies right of and below the picture's middle."""
    return struct.pack(">IIIIiIiI", width, 1, height, 1, *right, *down)


def corner(image: Image.Image) -> tuple[int, ...]:
    """Return the corner's colour, rounded."""
    colour = image.getpixel((2, 2))
    assert isinstance(colour, tuple)
    return tuple(round(level / 64) for level in colour)


@pytest.mark.parametrize(
    ("content", "size", "colour"),
    [
        (aperture(64, 32, (32, 1), (16, 1)), (64, 32), (4, 4, 4)),
        (aperture(64, 32, (-64, 2), (16, 1)), (64, 32), (0, 0, 4)),
        (aperture(64, 32, (32, 1), (-16, 1)), (64, 32), (0, 2, 0)),
        (aperture(64, 64, (48, 1), (0, 1)), (48, 64), (0, 2, 0)),
        (aperture(64, 32, (500, 1), (0, 1)), (128, 64), (4, 0, 0)),
        (aperture(64, 32, (0, 0), (0, 1)), (128, 64), (4, 0, 0)),
        (aperture(0, 32, (0, 1), (0, 1)), (128, 64), (4, 0, 0)),
    ],
)
def test_the_crop_of_an_avif(
    content: bytes, size: tuple[int, int], colour: tuple[int, ...], settings: Settings
) -> None:
    """Only the part in the aperture is shown; an aperture that says nothing usable is left out."""
    image = decode(avif_with(quarters(), b"clap", content), settings)
    assert (image.size, corner(image)) == (size, colour)


def test_a_cropped_picture_is_scaled_by_the_part_that_is_shown(settings: Settings) -> None:
    """A small part of a large picture keeps its pixels."""
    content = avif_with(quarters(), b"clap", aperture(64, 16, (32, 1), (16, 1)))
    assert decode(content, settings.model_copy(update={"max_pixels": 1024})).size == (64, 16)


def test_coded_colours_of_an_avif(settings: Settings) -> None:
    """The numbers are those of Display P3 in linear light."""
    file = io.BytesIO()
    quarters().save(file, "AVIF", quality=95, subsampling="4:4:4")
    content = bytearray(file.getvalue())
    numbers = content.index(b"nclx") + 4
    content[numbers : numbers + 4] = struct.pack(">HH", 12, 8)
    image = decode(bytes(content), settings)
    colour = image.getpixel((96, 16))
    assert isinstance(colour, tuple)
    # Half of the light is 188; Display P3's green has little red in sRGB.
    assert abs(colour[1] - 188) < 8
    assert colour[0] < 8


def test_damaged_boxes_have_no_properties(settings: Settings) -> None:
    """Any byte of the boxes may be anything; a file that Pillow opens is decoded all the same."""
    whole = avif_with(quarters(), b"clap", aperture(64, 32, (32, 1), (16, 1)))
    with Image.open(io.BytesIO(whole)) as image:
        assert crop_of(avif_properties(image), image.size) == (64, 32, 128, 64)
        for end in range(0, len(whole), 7):
            image.fp = io.BytesIO(whole[:end])
            assert len(avif_properties(image)) in (0, 5)
        for position in range(whole.index(b"meta"), whole.index(b"mdat")):
            changed = bytearray(whole)
            changed[position] ^= 0xFF
            image.fp = io.BytesIO(changed)
            crop_of(avif_properties(image), image.size)
