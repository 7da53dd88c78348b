"""The colours that a PNG states in its chunks, by the precedence of PNG's third edition: cICP, iCCP, sRGB, then gAMA and cHRM."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from worker.pixels.colour.coded_colours import coded_profile
from worker.pixels.colour.matrix_profile import SRGB_CURVE, SRGB_PRIMARIES, matrix_profile, power_curve

_SIGNATURE_LENGTH = 8
#: Chunks that state colours, and the length of each.
_LENGTHS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
#: Largest relative difference of gAMA from sRGB's 1/2.2 that means sRGB; libpng's threshold.
_SAME_GAMMA = 0.05
#: Values of gAMA that mean something; others are left out.
_GAMMAS = (0.05, 20.0)


def png_profiles(image: Image.Image, embedded: list[bytes]) -> Iterator[bytes]:
    """Yield the profiles of an opened PNG, the most binding first, with the `embedded` ones at their place."""
    chunks = _chunks(getattr(image, "fp", None))
    if b"cICP" in chunks:
        primaries, transfer, *_ = chunks[b"cICP"]
        if (profile := coded_profile(primaries, transfer)) is not None:
            yield profile
    yield from embedded
    if b"sRGB" not in chunks and chunks.keys() & {b"gAMA", b"cHRM"} and (profile := _by_gamma(chunks)) is not None:
        yield profile


def _by_gamma(chunks: dict[bytes, bytes]) -> bytes | None:
    """Return the profile of gAMA and cHRM; a missing one of the two is that of sRGB."""
    curve, primaries = SRGB_CURVE, SRGB_PRIMARIES
    if b"gAMA" in chunks:
        gamma = int.from_bytes(chunks[b"gAMA"]) / 100_000
        if _GAMMAS[0] <= gamma <= _GAMMAS[1] and abs(gamma * 2.2 - 1) > _SAME_GAMMA:
            curve = power_curve(1 / gamma)
    if b"cHRM" in chunks:
        values = [number / 100_000 for number in struct.unpack(">8I", chunks[b"cHRM"])]
        white, red, green, blue = zip(values[::2], values[1::2], strict=True)
        primaries = (red, green, blue, white)
    return matrix_profile(primaries, curve)


def _chunks(file: BinaryIO | None) -> dict[bytes, bytes]:
    """Return the sound colour chunks in front of the pixels."""
    found: dict[bytes, bytes] = {}
    if file is None:
        return found
    position = file.tell()
    start = _SIGNATURE_LENGTH
    while True:
        file.seek(start)
        head = file.read(8)
        length, kind = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"IEND")
        if kind in (b"IDAT", b"IEND"):
            break
        if _LENGTHS.get(kind) == length:
            content, check = file.read(length), file.read(4)
            if zlib.crc32(kind + content).to_bytes(4) == check:
                found.setdefault(kind, content)
        start += length + 12
    file.seek(position)
    return found
