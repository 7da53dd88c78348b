"""Decoding of the TIFFs that Pillow does not read: tifffile and imagecodecs unpack the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffPage

from jobs.images.formats import tiff_kinds
from jobs.images.formats.tiff_image import TiffImage
from worker.pixels.levels import to_8_bits
from worker.pixels.tiff.photometric import palette_colours, picture_of, unsigned_lab
from worker.pixels.tiff.sample_range import range_of

#: Compressions whose decoders return RGB for YCbCr.
_DECODED_TO_RGB = (7, 33003, 33005, 34712, 34927, 50001)


def decoded_tiff(image: TiffImage) -> Image.Image:
    """Decode the page to 8 bits a channel.

    Raises:
        ValueError: The data is damaged, or in a kind of compression that the library was built without.
    """
    page = image.page
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8 * page.dtype.itemsize
    samples = _samples(page)
    photometric = int(page.photometric)
    if photometric == tiff_kinds.YCBCR and page.compression in _DECODED_TO_RGB:
        photometric = tiff_kinds.RGB
    count = tiff_kinds.COLOURS[photometric]
    alpha, is_associated = _alpha(page, samples, count, bits)
    picture = picture_of(_colours(page, samples[..., :count], bits), photometric, alpha, is_associated=is_associated)
    picture.info.update(image.info)
    return picture


def _samples(page: TiffPage) -> NDArray[Any]:
    """Decode the page to lines of pixels of samples."""
    if _has_loose_words(page):
        page.bitspersample = 16
    try:
        values = page.asarray(squeeze=False, maxworkers=1)
    except MemoryError:
        raise
    except Exception as error:  # a decoder's error says nothing to a person, such as "lzw_decode returned -3"
        raise ValueError("its TIFF data cannot be decoded") from error
    separate, _, height, width, together = values.shape
    if (height, width) != (page.imagelength, page.imagewidth):
        raise ValueError("its TIFF data has another size than its header says")
    if values.dtype == np.int8 and values.min() < 0:
        # Programs that write "signed" bytes mean ordinary ones, and all readers take them so.
        values = values.view(np.uint8)
        page.sampleformat = tiff_kinds.UNSIGNED
    lines = values.reshape(separate, height, width, together)
    return np.moveaxis(lines[..., 0], 0, 2) if separate > 1 else lines[0]


def _has_loose_words(page: TiffPage) -> bool:
    """Check whether samples of 10 to 14 bits fill 16-bit words, as some cameras write them."""
    samples = page.imagewidth * page.imagelength * page.samplesperpixel
    loose = page.compression == 1 and page.bitspersample in range(9, 16)
    return loose and sum(page.databytecounts) == 2 * samples


def _colours(page: TiffPage, samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if page.photometric == tiff_kinds.PALETTE and page.colormap is not None:
        return palette_colours(samples[..., 0], page.colormap, has_8_bits=tiff_kinds.has_8bit_colormap(page))
    form = int(page.sampleformat)
    if page.photometric in (tiff_kinds.CIELAB, tiff_kinds.ICCLAB):
        if page.photometric == tiff_kinds.CIELAB or form == tiff_kinds.FLOAT:
            samples = unsigned_lab(samples)
        white = 1.0 if form == tiff_kinds.FLOAT else float(2**bits - 1)
        return to_8_bits(samples, (0.0, white))
    nodata = float(page.nodata) if "GDAL_NODATA" in page.tags else None
    return to_8_bits(samples, range_of(samples, bits=_used_bits(page, samples, bits), form=form, nodata=nodata))


def _used_bits(page: TiffPage, samples: NDArray[Any], bits: int) -> int:
    """Return the bits that the values use: MaxSampleValue may say fewer, and words may be filled from the top."""
    if samples.dtype != np.uint16:
        return bits
    largest = page.tags.valueof(tiff_kinds.MAX_SAMPLE_VALUE)
    said = next((used for used in (10, 12, 14) if np.all(np.equal(largest, 2**used - 1))), bits)
    return said if samples.max() < 2**said else 16


def _alpha(page: TiffPage, samples: NDArray[Any], count: int, bits: int) -> tuple[NDArray[np.uint8] | None, bool]:
    """Return the transparency, and whether the colours are multiplied by it. Other extra samples (infrared) are left out."""
    for index, kind in enumerate(page.extrasamples, count):
        if kind in (tiff_kinds.ASSOCIATED, tiff_kinds.UNASSOCIATED) and index < samples.shape[2]:
            layer = samples[..., index : index + 1]
            form = int(page.sampleformat)
            opaque = 1 if form == tiff_kinds.FLOAT else 2 ** (bits - (form == tiff_kinds.SIGNED)) - 1
            return to_8_bits(layer, (0.0, float(opaque)))[..., 0], kind == tiff_kinds.ASSOCIATED
    return None, False
