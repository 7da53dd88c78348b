"""Colours of pictures: whatever the file states them in, the pixels come out as sRGB."""

from __future__ import annotations

import io
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageCms

from jobs.configuration.settings import Settings
from tests.support.bmps import bmp, field_pixels
from tests.support.coloured_pictures import cmyk_profile, grey_profile, png_with, rgb_profile
from worker.pixels.colour.coded_colours import coded_profile
from worker.pixels.decode import decode

#: Pure red and green of sRGB as they are stored in other spaces, with gamma 2.2.
RED, GREEN = (255, 0, 0), (0, 255, 0)
STORED = [
    ("Adobe RGB", (219, 0, 0), RED),
    ("Adobe RGB", (144, 255, 60), GREEN),
    ("Display P3", (234, 51, 35), RED),
    ("Display P3", (117, 251, 76), GREEN),
    ("swapped", (0, 0, 255), RED),
    ("swapped", (255, 0, 0), GREEN),
]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the picture as a file of this format."""
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def shown(content: bytes, settings: Settings) -> tuple[int, ...]:
    """Return the colour in the middle of the decoded picture."""
    image = decode(content, settings)
    assert (image.mode, image.info) == ("RGB", {})
    colour = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(colour, tuple)
    return tuple(int(level) for level in colour)


def near(colour: tuple[int, ...], expected: tuple[int, ...], *, within: int = 6) -> bool:
    """Check that no channel differs by more than this."""
    return max(abs(level - other) for level, other in zip(colour, expected, strict=True)) <= within


@pytest.mark.parametrize(("space", "colour", "expected"), STORED)
def test_a_profile_is_applied(
    space: str, colour: tuple[int, int, int], expected: tuple[int, ...], settings: Settings
) -> None:
    """The stored values are those that published converters give for red and green."""
    content = encoded(Image.new("RGB", (40, 30), colour), "PNG", icc_profile=rgb_profile(space))
    assert near(shown(content, settings), expected, within=12)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_format_with_a_profile(kind: str, settings: Settings) -> None:
    """The picture is stored with swapped primaries; decoded in full, scaled down, and at a part of its size."""
    small = settings.model_copy(update={"max_pixels": 1024})
    content = encoded(Image.new("RGB", (400, 300), (0, 0, 255)), kind, icc_profile=rgb_profile("swapped"))
    assert near(shown(content, settings), RED, within=12)
    assert near(shown(content, small), RED, within=12)


def test_the_profile_of_a_bmp(settings: Settings) -> None:
    """The profile is behind the pixels, of usual and of odd bit fields; a length that is wrong leaves it out."""
    image, profile = Image.new("RGB", (40, 30), (0, 0, 255)), rgb_profile("swapped")
    odd, usual = (0xFF, 0xFF00, 0xFF0000, 0), (0xFF0000, 0xFF00, 0xFF, 0)
    for masks in (odd, usual):
        pixels = field_pixels(image, 32, masks)
        content = bmp(image.size, pixels, bits=32, compression=3, header=124, masks=masks, profile=profile)
        assert near(shown(content, settings), RED)
        assert near(shown(content[:-100], settings), (0, 0, 255))


@pytest.mark.parametrize("others", [(), (b"NETSCAPE2.0", b"XMP DataXMP")])
def test_the_profile_of_a_gif(others: tuple[bytes, ...], settings: Settings) -> None:
    """The profile is an extension, before or behind others."""
    content = encoded(Image.new("RGB", (40, 30), (0, 0, 255)).quantize(4), "GIF")
    start = 13 + (3 << (content[10] & 7) + 1)
    profile = rgb_profile("swapped")
    blocks = b"".join(
        bytes([len(profile[at : at + 255])]) + profile[at : at + 255] for at in range(0, len(profile), 255)
    )
    other = b"".join(b"\x21\xff\x0b" + name + b"\x03\x01\0\0\0" for name in others)
    added = b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0"
    assert near(shown(content[:start] + added + other + content[start:], settings), RED)
    assert near(shown(content[:start] + other + added + content[start:], settings), RED)
    assert near(shown(content, settings), (0, 0, 255))


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_palettes_and_transparent_pictures_have_profiles_too(mode: str, settings: Settings) -> None:
    """Their profile is one of RGB."""
    image = Image.new("RGB", (40, 30), (0, 0, 255)).convert(mode)
    assert near(shown(encoded(image, "PNG", icc_profile=rgb_profile("swapped")), settings), RED)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_profiles(mode: str, settings: Settings) -> None:
    """With gamma 1, a stored half is the light of a half, which sRGB writes as 188."""
    image = Image.new("I;16", (40, 30), 128 * 257) if mode == "I;16" else Image.new("L", (40, 30), 128).convert(mode)
    assert near(shown(encoded(image, "PNG", icc_profile=grey_profile(1.0)), settings), (188, 188, 188))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_print_colours_by_their_profile_and_without_one(kind: str, settings: Settings) -> None:
    """The profile is that of a printer with cyan and magenta exchanged; without it full cyan is green and blue."""
    image = Image.new("CMYK", (400, 300), (255, 0, 0, 0))
    small = settings.model_copy(update={"max_pixels": 1024})
    for limits in (settings, small):
        assert near(shown(encoded(image, kind), limits), (0, 255, 255))
        assert near(shown(encoded(image, kind, icc_profile=cmyk_profile()), limits), (255, 0, 255), within=10)


def test_a_profile_that_cannot_be_read_or_does_not_fit_is_left_out(settings: Settings) -> None:
    """The profile is rubbish, cut off, one of print colours, or one of grey."""
    good = rgb_profile("swapped")
    for profile in (b"rubbish", good[:200], good[:128], cmyk_profile(), grey_profile(1.0), bytes(len(good))):
        for kind in ("PNG", "JPEG"):
            content = encoded(Image.new("RGB", (40, 30), (0, 0, 255)), kind, icc_profile=profile)
            assert near(shown(content, settings), (0, 0, 255))
    for mode, pixel in (("L", 100), ("CMYK", (0, 0, 0, 155))):
        content = encoded(Image.new(mode, (40, 30), pixel), "JPEG", icc_profile=good)
        assert near(shown(content, settings), (100, 100, 100))


def test_srgb_in_any_wording_changes_no_pixel(settings: Settings) -> None:
    """The profiles are littleCMS's own, and primaries and a curve written as numbers."""
    image = Image.effect_mandelbrot((60, 40), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    image.putpixel((7, 7), (200, 3, 90))
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, coded_profile(1, 13)):
        assert decode(encoded(image, "PNG", icc_profile=profile), settings).tobytes() == image.tobytes()


def test_threads_share_a_profile(settings: Settings) -> None:
    """Eight threads decode pictures of one profile at once, each of another colour."""
    profile = rgb_profile("Adobe RGB")
    contents = [
        encoded(Image.new("RGB", (400, 300), (10 * number, 200, 99)), "PNG", icc_profile=profile)
        for number in range(20)
    ]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda content: decode(content, settings).tobytes(), contents))
    assert together == [decode(content, settings).tobytes() for content in contents]


CHUNKS = {
    "gamma 1": (b"gAMA", struct.pack(">I", 100_000)),
    "gamma of sRGB": (b"gAMA", struct.pack(">I", 45_455)),
    "about sRGB": (b"gAMA", struct.pack(">I", 45_000)),
    "no gamma": (b"gAMA", bytes(4)),
    "sRGB": (b"sRGB", b"\0"),
    "P3 by numbers": (b"cICP", bytes([12, 13, 0, 1])),
    "sRGB by numbers": (b"cICP", bytes([1, 13, 0, 1])),
    "unknown numbers": (b"cICP", bytes([2, 2, 0, 1])),
    "swapped": (b"cHRM", struct.pack(">8I", 31270, 32900, 30000, 60000, 15000, 6000, 64000, 33000)),
    "no gamut": (b"cHRM", bytes(32)),
    "a line": (b"cHRM", struct.pack(">8I", *[30000] * 8)),
}
#: sRGB's curve differs from a pure power in dark tones only.
HALF, DARK = (128, 128, 128), (20, 20, 20)


@pytest.mark.parametrize(
    ("names", "colour", "expected"),
    [
        (["gamma 1"], HALF, (188, 188, 188)),
        (["gamma of sRGB"], DARK, DARK),
        (["about sRGB"], DARK, DARK),
        (["no gamma"], HALF, HALF),
        (["sRGB", "gamma 1"], HALF, HALF),
        (["gamma 1", "sRGB by numbers"], HALF, HALF),
        (["gamma 1", "unknown numbers"], HALF, (188, 188, 188)),
        (["P3 by numbers", "sRGB", "gamma 1"], (234, 51, 35), RED),
        (["swapped"], (0, 0, 255), RED),
        (["swapped", "gamma 1"], (0, 0, 128), (188, 0, 0)),
        (["swapped", "sRGB"], (0, 0, 255), (0, 0, 255)),
        (["no gamut"], (0, 0, 255), (0, 0, 255)),
        (["a line"], (0, 0, 255), (0, 0, 255)),
    ],
)
def test_the_chunks_of_a_png(
    names: list[str], colour: tuple[int, int, int], expected: tuple[int, ...], settings: Settings
) -> None:
    """The most binding chunk counts, and a chunk that says nothing usable is left out."""
    content = png_with(Image.new("RGB", (40, 30), colour), *(CHUNKS[name] for name in names))
    assert near(shown(content, settings), expected)


def test_a_grey_png_has_a_gamma_too(settings: Settings) -> None:
    """The grey stays grey."""
    assert near(shown(png_with(Image.new("L", (40, 30), 128), CHUNKS["gamma 1"]), settings), (188, 188, 188))


@pytest.mark.parametrize(("mode", "pixel"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))])
def test_colours_are_converted_before_they_are_mixed_with_white(
    mode: str, pixel: tuple[int, ...], settings: Settings
) -> None:
    """Black that is half transparent is middle grey, also with a gamma of 1; scaled down too."""
    content = png_with(Image.new(mode, (400, 300), pixel), CHUNKS["gamma 1"])
    for limits in (settings, settings.model_copy(update={"max_pixels": 1024})):
        assert near(shown(content, limits), (127, 127, 127))


def test_a_profile_counts_more_than_gamma_and_less_than_numbers(settings: Settings) -> None:
    """The order is cICP, iCCP, sRGB, gAMA and cHRM."""
    profile = rgb_profile("swapped")
    image = Image.new("RGB", (40, 30), (0, 0, 255))
    image.info["icc_profile"] = profile
    assert near(shown(png_with(image, CHUNKS["gamma 1"], CHUNKS["sRGB"]), settings), RED)
    assert near(shown(png_with(image, CHUNKS["sRGB by numbers"]), settings), (0, 0, 255))


def test_coded_colours_of_heic_are_converted(settings: Settings) -> None:
    """The numbers are those of Display P3."""
    image = Image.new("RGB", (64, 64), (117, 251, 76))
    content = encoded(image, "HEIF", quality=100, color_primaries=12, transfer_characteristics=13)
    assert near(shown(content, settings), GREEN, within=16)


@pytest.mark.parametrize(("transfer", "white"), [(16, 148), (18, 191)])
def test_pictures_for_bright_displays_keep_their_tones(transfer: int, white: int, settings: Settings) -> None:
    """White paper is nearly white, grey rises evenly, and a highlight stays brighter than paper."""
    chunk = (b"cICP", bytes([9, transfer, 0, 1]))
    levels = [
        shown(png_with(Image.new("RGB", (40, 30), (value,) * 3), chunk), settings)
        for value in (0, white // 2, white, 255)
    ]
    assert all(near(colour, (colour[0],) * 3, within=2) for colour in levels)
    assert levels[0][0] == 0 < levels[1][0] < levels[2][0] < levels[3][0]
    assert 225 <= levels[2][0] <= 245
    assert levels[3][0] >= 253
