"""The page of a TIFF that is shown: the first full one, because thumbnails and masks often stand before the picture."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from tifffile import TiffFile, TiffPage, TiffPages

from jobs.images.formats import tiff_kinds

#: Maximum pages that are looked at.
_MAX_PAGES = 64
#: A page with less than this share of the largest page's pixels is a thumbnail.
_THUMBNAIL_SHARE = 1 / 8
#: Bits of the tag NewSubfileType.
_REDUCED, _MASK = 1, 4
#: Photometric interpretations of a sensor's unprocessed values.
_CAMERA_RAW = (32803, 34892)

# Oddities of a header are logged as errors, which Python prints if no handler is set.
logging.getLogger("tifffile").disabled = True


def full_page(tiff: TiffFile) -> TiffPage | None:
    """Return the first full page, or the largest thumbnail if there is no other page; None if no page can be read."""
    pages = list(_pages(tiff))
    shown = [page for page in pages if page.photometric not in _CAMERA_RAW] or pages
    full = [page for page in shown if not page.subfiletype & (_REDUCED | _MASK)]
    if not full:
        return max(shown, key=pixels_of, default=None)
    # A SubIFD that no decoder reads does not hide the page that refers to it.
    full = [page for page in full if len(page.treeindex) == 1 or tiff_kinds.is_readable(page)] or full
    smallest = max(map(pixels_of, full)) * _THUMBNAIL_SHARE
    return next(page for page in full if pixels_of(page) >= smallest)


def pixels_of(page: TiffPage) -> int:
    """Return the number of a page's pixels."""
    return page.imagewidth * page.imagelength


def _pages(tiff: TiffFile) -> Iterator[TiffPage]:
    """Yield the pages in their order, each before its SubIFDs, which hold the picture in the files of some cameras."""
    for page in _chain(tiff.pages):
        yield page
        yield from _chain(page.pages)


def _chain(pages: TiffPages | None) -> Iterator[TiffPage]:
    """Yield the pages of a chain up to its end, or up to a page whose header is damaged."""
    for index in range(_MAX_PAGES):
        try:
            page = pages[index] if pages is not None else None
        except Exception:  # a damaged header raises errors of many kinds
            return
        if not isinstance(page, TiffPage) or page.imagewidth < 1 or page.imagelength < 1:
            return
        yield page
