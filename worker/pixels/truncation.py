"""JPEGs whose last bytes are missing: usable if nearly all rows are there.

The decoder fills missing rows with grey, so their number shows in no pixel. If the file is decoded with noise in the place of the
missing bytes, the first row that differs is the first that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from PIL import Image

from jobs.errors import ImageError
from jobs.images.formats.jpeg_file import JpegFile
from jobs.images.formats.refusal_words import truncated
from worker.pixels.bands import bands

#: The flaw of a picture whose last bytes are missing, as the `quality` of a result.
TRUNCATED = "truncated_image"
#: The share of the rows that may be missing.
_MOST = 1 / 20
#: Rows that may be missing of a small picture, two rows of blocks, and the share that they may be.
_MOST_OF_SMALL_ROWS, _MOST_OF_SMALL = 32, 0.15
#: Bytes that a decoder takes for pixels, and for no marker. After a last 0xFF of the file, the zero says that it is no marker.
_NOISE = b"\0" + bytes(Random(1).choices(range(255), k=1 << 13))
_COEFFICIENTS = 64
_SCAN = re.compile(rb"\xff\xda\0.([\1-\4])", re.DOTALL)


def flaw_of(image: Image.Image, height: int, load: Callable[[JpegFile], None], name: str) -> str | None:
    """Return the flaw of a decoded image; None: the image is whole.

    Args:
        height: Rows of the image in its file, which may have been decoded smaller.
        load: Decodes another image in the same way.
        name: The image's name in errors.

    Raises:
        ImageError: More than the last rows are missing.
    """
    if not isinstance(image, JpegFile) or not image.ended_early:
        return None
    scans = list(_scans_of(image))
    if not _hold_all(scans, image):
        raise ImageError(truncated(name))
    if _hold_all(scans[:-1], image, bits_left=1):
        # Only last bits are missing.
        return TRUNCATED
    most = max(_MOST, min(_MOST_OF_SMALL_ROWS / height, _MOST_OF_SMALL))
    with image.with_filler(_NOISE) as noisy:
        load(noisy)
        if _first_difference(image, noisy) < image.height * (1 - most):
            raise ImageError(truncated(name))
    return TRUNCATED


@dataclass(frozen=True)
class _Scan:
    components: frozenset[int]
    coefficients: range
    #: The last bits of the coefficients that are left to later scans.
    bits_left: int


def _scans_of(image: JpegFile) -> Iterator[_Scan]:
    """Find the scans that the file has begun (ITU T.81, B.2.3)."""
    image.source.seek(0)
    data = image.source.read()
    for found in _SCAN.finditer(data):
        number, at = found[1][0], found.end()
        header = data[at : at + 2 * number + 3]
        if len(header) == 2 * number + 3:
            first, last, bits = header[-3:]
            progressive = "progressive" in image.info
            coefficients = range(first, last + 1) if progressive else range(_COEFFICIENTS)
            yield _Scan(frozenset(header[: 2 * number : 2]), coefficients, bits & 15 if progressive else 0)


def _hold_all(scans: list[_Scan], image: JpegFile, *, bits_left: int = 0) -> bool:
    """Check whether the scans hold all coefficients of all components, but for this many of their last bits."""
    held = {
        (component, coefficient)
        for scan in scans
        if scan.bits_left <= bits_left
        for component in scan.components
        for coefficient in scan.coefficients
    }
    return all((layer[0], coefficient) in held for layer in image.layer for coefficient in range(_COEFFICIENTS))


def _first_difference(image: Image.Image, other: Image.Image) -> int:
    """Return the number of rows, from the top, in which two images of one size are equal."""
    for (top, band), (_, same) in zip(bands(image), bands(other), strict=True):
        for row in range(band.height if band.tobytes() != same.tobytes() else 0):
            box = (0, row, band.width, row + 1)
            if band.crop(box).tobytes() != same.crop(box).tobytes():
                return top + row
    return image.height
