"""Metadata never decides: a picture whose pixels can be read is decoded, whatever surrounds them."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.images.opening import check_image
from tests.support.damage import chunk, jpeg_with, png_with, saved, scene, segment
from worker.pixels.decode import decode

_ANCILLARY = (
    b"gAMA cHRM sRGB iCCP cICP sBIT eXIf tRNS bKGD hIST pHYs tIME sPLT oFFs tEXt zTXt iTXt acTL fcTL fdAT vpAg".split()
)
_HUGE = b"workflow\0\0" + zlib.compress(bytes(2_000_000))
_XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
_BAD_PROFILE = b"Raw profile type exif\0\nexif\n  10\nnot hexadecimal\n"
_PNGS = {
    **{f"{kind.decode()} empty": png_with(chunk(kind, b"")) for kind in _ANCILLARY},
    **{f"{kind.decode()} short": png_with(chunk(kind, b"\1")) for kind in _ANCILLARY},
    **{f"{kind.decode()} garbage": png_with(chunk(kind, b"Lorem ipsum dolor sit amet")) for kind in _ANCILLARY},
    **{f"{kind.decode()} checksum": png_with(chunk(kind, bytes(4), checksum=1)) for kind in _ANCILLARY},
    "iCCP method": png_with(chunk(b"iCCP", b"name\0\7" + zlib.compress(b"x"))),
    "huge text": png_with(chunk(b"zTXt", _HUGE)),
    "many texts": png_with(*[chunk(b"zTXt", _HUGE)] * 70),
    "huge XMP": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))),
    "head of a last chunk": saved("PNG")[:-12] + b"\0\0\1\0IDAT",
    "raw profile": png_with(chunk(b"tEXt", _BAD_PROFILE)),
    "text behind the pixels": saved("PNG")[:-12] + chunk(b"zTXt", _HUGE, checksum=1) + saved("PNG")[-12:],
}
_JPEGS = {
    "EXIF garbage": jpeg_with(segment(0xE1, b"Exif\0\0garbage")),
    "short JFIF": jpeg_with(segment(0xE0, b"JFIF\0\1")),
    "short Adobe": jpeg_with(segment(0xEE, b"Adobe")),
    "short ICC": jpeg_with(segment(0xE2, b"ICC_PROFILE\0")),
    "cut APP13": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\4\4")),
    "long APP13": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\4\4", length=400)),
    "APP7 to the end": jpeg_with(segment(0xE7, b"abc", length=65535)),
    "length of zero": jpeg_with(segment(0xE7, b"", length=0)),
    "padding": jpeg_with(segment(0xE7, b"abc") + bytes(7)),
}


def far(content: bytes, settings: Settings) -> float:
    """Return the mean difference of the decoded picture from the scene."""
    check_image(content, settings)
    difference = np.asarray(decode(content, settings)).astype(int) - np.asarray(scene())
    return float(np.abs(difference).mean())


@pytest.mark.parametrize("name", _PNGS)
def test_no_chunk_beside_the_pixels_of_a_png_decides(name: str, settings: Settings) -> None:
    """Each kind of chunk is tried empty, short, with garbage and with a wrong checksum."""
    assert far(_PNGS[name], settings) == 0


@pytest.mark.parametrize("name", _JPEGS)
def test_no_application_segment_of_a_jpeg_decides(name: str, settings: Settings) -> None:
    """Segments with garbage, with too few bytes, and with a length that reaches over the tables behind it."""
    assert far(_JPEGS[name], settings) < 8


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF"])
def test_unreadable_exif_of_other_formats_is_left_out(kind: str, settings: Settings) -> None:
    """The decoders of these formats hand the bytes on as they are."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0131] = "tagger"
    content = saved(kind, exif=exif.tobytes())
    header = exif.tobytes()[6:14]
    assert header in content
    assert far(content.replace(header, b"garbage "), settings) < 8


def test_readable_orientation_still_counts(settings: Settings) -> None:
    """The orientation stands in a chunk before the pixels, behind them, or in the XMP, beside chunks that cannot be read."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    bad = chunk(b"gAMA", b"")
    behind = saved("PNG")[:-12] + turned + saved("PNG")[-12:]
    xmp = chunk(b"iTXt", _XMP + b'<x tiff:Orientation="6"/>')
    app = segment(0xED, b"Photoshop 3.0\x008BIM\4\4")
    jpeg = jpeg_with(app, exif=exif.tobytes())
    for content in (png_with(bad, turned), behind, png_with(xmp), jpeg):
        assert decode(content, settings).size == (96, 128)


def test_an_animation_shows_its_first_frame(settings: Settings) -> None:
    """The chunks of an animation are left out with the rest."""
    file = io.BytesIO()
    scene().save(file, "PNG", save_all=True, append_images=[Image.new("RGB", (128, 96))])
    assert far(file.getvalue(), settings) == 0
