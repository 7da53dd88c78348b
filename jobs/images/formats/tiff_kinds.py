"""Kinds of TIFF: which of them Pillow decodes rightly, which tifffile decodes, and which are refused."""

from __future__ import annotations

from tifffile import TiffPage

#: Photometric interpretations.
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, MASK, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
#: Samples a pixel of each interpretation, without those for transparency and unnamed ones.
COLOURS = {MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1, MASK: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
#: Sample formats.
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
#: The tag that says which value is white, if it is not the largest of the bits.
MAX_SAMPLE_VALUE = 281
#: Values of ExtraSamples for transparency: colours multiplied by it (associated), and colours as they are.
ASSOCIATED, UNASSOCIATED = 1, 2

#: Names of compressions.
_COMPRESSIONS = {
    1: "none",
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    50000: "Zstandard",
    50001: "WebP",
    50013: "Deflate",
}
_FAX, _OLD_JPEG, _JPEG = (2, 3, 4), 6, 7
#: Compressions of both decoders.
_COMMON = (1, 5, _JPEG, 8, 32773, 32946, 34925, 50000)
_FORMATS = {1: "integer", 2: "signed integer", 3: "float", 5: "complex integer", 6: "complex"}


def is_for_pillow(page: TiffPage) -> bool:
    """Check whether Pillow decodes the page rightly. Of some other kinds it makes noise or darkness without an error."""
    if len(page.treeindex) > 1:
        # Pillow does not reach SubIFDs.
        return False
    if page.compression in (*_FAX, _OLD_JPEG) or (_has_raw_subsampling(page) and page.planarconfig == 1):
        return True
    big_endian_bigtiff = page.parent.is_bigtiff and page.parent.byteorder == ">"
    # Of uncompressed and PackBits pages libtiff ignores the predictor.
    predicted = page.predictor == 2 and page.compression not in (1, 32773)
    plain = page.compression in _COMMON and (page.predictor == 1 or predicted) and page.sampleformat == UNSIGNED
    return plain and page.planarconfig == 1 and not big_endian_bigtiff and _is_plain_layout(page)


def _has_raw_subsampling(page: TiffPage) -> bool:
    """Check whether chroma has fewer samples than luma, outside of JPEG's own handling."""
    return page.is_subsampled and page.compression != _JPEG


def _is_plain_layout(page: TiffPage) -> bool:
    photometric, samples, bits = page.photometric, page.samplesperpixel, page.bitspersample
    extras = tuple(map(int, page.extrasamples))
    if photometric not in COLOURS or photometric in (MASK, ICCLAB) or page.imagedepth != 1:
        return False
    if samples == 1 and bits == 16:
        return photometric == MIN_IS_BLACK and MAX_SAMPLE_VALUE not in page.tags
    if samples == COLOURS[photometric] == 1:
        return bits in (1, 2, 4, 8) and not has_8bit_colormap(page)
    if bits == 16 and samples == 3:
        return photometric == RGB and MAX_SAMPLE_VALUE not in page.tags
    if bits == 8:
        with_alpha = {MIN_IS_BLACK: (UNASSOCIATED,), RGB: extras[:1]}.get(photometric)
        return samples == COLOURS[photometric] or (samples == COLOURS[photometric] + 1 and extras == with_alpha)
    return False


def has_8bit_colormap(page: TiffPage) -> bool:
    """Check whether the colours of the palette are 8-bit values, which some programs write instead of 16-bit ones."""
    return page.photometric == PALETTE and page.colormap is not None and page.colormap.max() < 256


def is_readable(page: TiffPage) -> bool:
    """Check whether one of the decoders reads the page."""
    return is_for_pillow(page) or unsupported(page) is None


def unsupported(page: TiffPage) -> str | None:
    """Name the part of the page that no decoder reads; return None if there is no such thing."""
    bits, form, photometric = page.bitspersample, int(page.sampleformat), page.photometric
    if page.compression not in _COMPRESSIONS:
        return f"compression {int(page.compression)}"
    if photometric not in COLOURS:
        name = f"interpretation {photometric}" if isinstance(photometric, int) else "no interpretation"
        return getattr(photometric, "name", name).replace("_", " ")
    if page.dtype is None or form not in (UNSIGNED, SIGNED, FLOAT):
        return f"{bits}-bit {_FORMATS.get(form, 'samples')}" if isinstance(bits, int) else "samples of different sizes"
    if page.predictor not in (1, 2, 3):
        return f"predictor {int(page.predictor)}"
    if photometric == PALETTE and (page.colormap is None or form != UNSIGNED or page.dtype.itemsize > 2):
        return "palette without colours" if page.colormap is None else f"palette of {bits}-bit values"
    if page.imagedepth != 1 or _has_raw_subsampling(page):
        return "volume" if page.imagedepth != 1 else "subsampled planes"
    return None if page.samplesperpixel >= COLOURS[photometric] else f"{page.samplesperpixel} samples a pixel"
