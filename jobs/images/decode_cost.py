"""The memory and the time for decoding an image, estimated from its header and, for JPEGs, from the number of scans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from jobs.configuration.settings import Settings
from jobs.images.scaled_size import fitted_size

if TYPE_CHECKING:
    from PIL import Image

#: Maximum scans of a progressive JPEG. Encoders write about ten; decoders go over the whole image for each, even an empty one.
MAX_SCANS = 500
#: Pixels times scans that take a second or two.
_QUICK_WORK = 500_000_000
#: The share of the memory limit that an image may take when it is decoded beside others.
_QUICK_SHARE = 1 / 4

#: Bytes a pixel in Pillow; 4 for modes that are not listed.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
#: Bytes a pixel of decoders that hold the image several times: as their own YUV or RGBA, as bytes, and as Pillow's copy.
_FORMAT_BYTES = {"WEBP": 16, "HEIF": 14, "AVIF": 14}
#: Bytes of a JPEG that hold its header in most cases.
_HEAD = 1 << 18
#: A marker: neither a stuffed byte nor a restart (ITU T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_EOI, _SOS = 0xD9, 0xDA
_STANDALONE = (0x01, 0xD8)
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Cost:
    """The cost of decoding one image."""

    #: Bytes at the peak.
    memory: int
    #: Pixels that the decoder goes over, once for each scan.
    work: int
    #: Scans of a JPEG, counted up to one more than `MAX_SCANS`.
    scans: int = 1
    #: The decoder may crash on a damaged file, so it runs in a process of its own.
    is_isolated: bool = False

    def is_quick(self, settings: Settings) -> bool:
        """Check whether the image can be decoded beside others: in a moment, and in a part of the memory limit."""
        return (
            not self.is_isolated and self.work <= _QUICK_WORK and self.memory <= settings.decode_memory * _QUICK_SHARE
        )


def cost_of(image: Image.Image, settings: Settings) -> Cost:
    """Estimate the cost of an opened image. Its file keeps its position."""
    pixels = image.width * image.height
    bytes_per_pixel = _FORMAT_BYTES.get(image.format or "", _MODE_BYTES.get(image.mode, 4))
    decoded_bytes: int | None = getattr(image, "decoded_bytes", None)
    if decoded_bytes is not None:
        # A TIFF that tifffile decodes; its class is not named here, because importing tifffile takes a while.
        return Cost(decoded_bytes, pixels, is_isolated=True)
    file: IO[bytes] | None = getattr(image, "fp", None)
    if image.format != "JPEG" or file is None:
        return Cost(pixels * bytes_per_pixel, pixels)
    scans = _scans(file, pixels)
    memory = pixels * bytes_per_pixel // _draft_scale(image, settings) ** 2
    if scans > 1:
        # All coefficients are held until the last scan, in 16 bits.
        memory += int(pixels * 2 * _samples_per_pixel(image))
    return Cost(memory, pixels * scans, scans)


def _draft_scale(image: Image.Image, settings: Settings) -> int:
    """Return the divisor of the size (1, 2, 4 or 8) at which Pillow's draft mode decodes."""
    if not settings.jpeg_draft or image.mode not in ("L", "RGB", "YCbCr"):
        return 1
    width, height = fitted_size(image.size, settings.max_pixels)
    return next(
        scale for scale in (8, 4, 2, 1) if scale == 1 or scale <= min(image.width // width, image.height // height)
    )


def _samples_per_pixel(image: Image.Image) -> float:
    """Return the samples a pixel: 3 for colours in full resolution, 1.5 for the common 4:2:0."""
    factors: list[tuple[int, int]] = [
        (horizontal, vertical) for _, horizontal, vertical, _ in getattr(image, "layer", [])
    ]
    if not factors or not all(horizontal and vertical for horizontal, vertical in factors):
        return 4.0
    widest, highest = max(one for one, _ in factors), max(one for _, one in factors)
    return sum(horizontal * vertical for horizontal, vertical in factors) / (widest * highest)


def _scans(file: IO[bytes], pixels: int) -> int:
    """Count the scans of a JPEG. For a large file a higher number may be returned, if that is still harmless: it is faster."""
    position = file.tell()
    file.seek(0)
    data = file.read(_HEAD)
    scans, known = _count_scans(data)
    if not known:
        data += file.read()
        scans = data.count(bytes([0xFF, _SOS]))
        if scans > MAX_SCANS or scans * pixels > _QUICK_WORK:
            scans, _ = _count_scans(data)
    file.seek(position)
    return max(1, scans)


def _count_scans(data: bytes) -> tuple[int, bool]:
    """Count the scans in the data, and say whether the count is final. Decoders stop after a scan with all components."""
    scans, components, sequential, position = 0, 0, True, 2
    while (marker := _MARKER.search(data, position)) is not None:
        kind, position = data[marker.end() - 1], marker.end()
        if kind == _EOI:
            return scans, True
        if kind in _STANDALONE:
            continue
        if kind in _FRAMES:
            sequential = kind in _SEQUENTIAL
            components = int.from_bytes(data[position + 7 : position + 8])
        if kind == _SOS:
            scans += 1
            whole = sequential and data[position + 2 : position + 3] == bytes([components])
            if whole or scans > MAX_SCANS:
                return scans, True
        position += int.from_bytes(data[position : position + 2])
    return scans, False
