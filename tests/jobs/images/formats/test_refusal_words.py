"""The words of refusals: a limit, a kind that is not supported, and damage are told apart."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageError
from jobs.images.sources import image_source
from tests.support.damage import saved
from worker.pixels.decode import decode


def refusal(content: bytes, settings: Settings) -> tuple[str, str]:
    """Return the code and the message of the refusal."""
    with pytest.raises(ImageError) as raised:
        decode(content, settings, name="a")
    return raised.value.code, raised.value.message


def tiff(bits: int, sample_format: int, compression: int = 1) -> bytes:
    """Return a grey TIFF of 4 × 4 pixels with these tags."""
    entries = [(256, 4), (257, 4), (258, bits), (259, compression), (262, 1), (273, 8), (277, 1), (278, 4), (279, 128)]
    entries.append((339, sample_format))
    tags = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 136) + bytes(128) + struct.pack("<H", len(entries)) + tags + bytes(4)


def resized(kind: str, side: int) -> bytes:
    """Return a file whose box of the size says that it has this many pixels."""
    pillow_heif.register_heif_opener()
    content = saved(kind)
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", side, side) + content[at + 8 :]


def test_kinds_that_are_not_supported_are_called_so(settings: Settings) -> None:
    """The kind is named, and the file is not called damaged."""
    jpeg = bytearray(saved("JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    for content, words in (
        (tiff(64, 6), "TIFF of a kind that is not supported (64-bit complex)"),
        (tiff(8, 1, 50001), "TIFF of a kind that is not supported (WebP compression)"),
        (bytes(jpeg), "JPEG of a kind that is not supported (12 bits a channel)"),
    ):
        assert refusal(content, settings) == ("unsupported_image_media_type", f"a is a {words}.")


def test_av1_in_a_heic_is_named(settings: Settings) -> None:
    """The brand says HEIC, and the codec is AVIF's."""
    pillow_heif.register_heif_opener()
    content = saved("AVIF")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + content[int.from_bytes(content[:4]) :]
    code, message = refusal(heic, settings)
    assert (code, message) == ("unsupported_image_media_type", "a holds AV1, which is not supported in HEIC.")


def test_the_limit_of_pixels_comes_before_the_limits_of_decoders(settings: Settings) -> None:
    """The decoders refuse such sizes themselves, as bad data or for want of memory."""
    for kind in ("AVIF", "HEIF"):
        code, message = refusal(resized(kind, 2**31 - 1), settings)
        assert code == "image_too_large"
        assert "2147483647×2147483647 pixels; the limit is" in message


def test_damaged_data_is_worded_for_people(settings: Settings) -> None:
    """No text of a decoder reaches a person."""
    webp, png = saved("WEBP"), saved("PNG")
    lzw = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)).save(
        lzw, "TIFF", compression="tiff_lzw"
    )
    content = lzw.getvalue()
    assert (
        refusal(content[:8] + b"\xff" * 2000 + content[2008:], settings)[1]
        == "a is damaged: its TIFF data cannot be decoded."
    )
    assert refusal(webp[:20] + bytes(len(webp) - 20), settings)[1] == "a is damaged: its WebP data cannot be read."
    assert refusal(png[:40] + bytes(len(png) - 40), settings)[1] == "a is damaged: its data is not valid."
    assert refusal(png[: len(png) // 2], settings)[1].startswith("a is truncated")


def test_links_in_a_circle_are_named(tmp_path: Path, settings: Settings) -> None:
    """Python's versions raise different errors for them."""
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"a\.png is a link that leads in a circle\."):
        image_source((tmp_path / "a.png").as_uri(), settings)
