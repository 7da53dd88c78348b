"""Headers of TIFFs: which page is shown, which decoder reads it, and which kinds are refused by name."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from jobs.images.formats.tiff_image import TiffImage
from jobs.images.formats.tiff_kinds import FLOAT, MIN_IS_BLACK, PALETTE, RGB, UNSIGNED, YCBCR
from jobs.images.opening import check_image, open_image
from tests.support.scenes import draw
from tests.support.tiffs import OLD_SUBFILE_TYPE, SUBFILE_TYPE, Page, scaled, tiff
from worker.pixels.decode import decode, decode_if_quick

CAMERA_RAW = 32803


def picture(side: int, bits: int = 8) -> NDArray[Any]:
    """Return the samples of a square picture."""
    return scaled(np.asarray(draw(3, (side, side)).image), bits, UNSIGNED)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize(
    ("first_side", "tags", "shown"),
    [
        (16, {SUBFILE_TYPE: (1,)}, 64),
        (64, {SUBFILE_TYPE: (1,)}, 64),
        (64, {SUBFILE_TYPE: (4,)}, 64),
        (48, {OLD_SUBFILE_TYPE: (2,)}, 64),
        (16, {}, 64),
        (48, {}, 48),
        (48, {SUBFILE_TYPE: (2,)}, 48),
    ],
)
def test_the_first_full_page_is_shown(
    first_side: int, tags: dict[int, tuple[int, ...]], shown: int, bits: int, settings: Settings
) -> None:
    """Thumbnails and masks before the picture do not count, whether they are marked or only small; a first page does."""
    content = tiff(Page(np.zeros_like(picture(first_side)), tags=tags), Page(picture(64, bits), bits))
    decoded = decode(content, settings)
    assert decoded.size == (shown, shown)
    assert (np.asarray(decoded).max() > 0) == (tags.get(SUBFILE_TYPE) != (2,) and shown == 64)


def test_a_thumbnail_is_better_than_nothing(settings: Settings) -> None:
    """A camera's file without a developed picture shows its largest preview, and so does a file of previews only."""
    raw = Page(picture(64, 16)[..., :1], 16, photometric=CAMERA_RAW)
    small, large = (Page(picture(side), tags={SUBFILE_TYPE: (1,)}) for side in (16, 32))
    assert decode(tiff(small, raw, large), settings).size == (32, 32)
    assert decode(tiff(small, large), settings).size == (32, 32)


def test_a_picture_below_its_thumbnail_is_shown(settings: Settings) -> None:
    """Some programs put the full picture into a directory that only the thumbnail's page refers to."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(picture(16), photometric="rgb", subfiletype=1, subifds=1)
        writer.write(picture(64), photometric="rgb")
    assert decode(file.getvalue(), settings).size == (64, 64)


@pytest.mark.parametrize("subfiletype", [0, 1])
def test_an_unreadable_subifd_does_not_hide_its_page(subfiletype: int, settings: Settings) -> None:
    """A full page is shown if no decoder reads its SubIFD, here an old JPEG; beside a thumbnail the kind is named."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(picture(16), photometric="rgb", subfiletype=subfiletype, subifds=1)
        writer.write(picture(64), photometric="ycbcr", compression="jpeg", subsampling=(2, 2))
    file.seek(0)
    with tifffile.TiffFile(file) as written:
        subifds = written.pages.first.pages
        assert subifds is not None
        subifd = subifds[0]
        assert isinstance(subifd, tifffile.TiffPage)
        offset = subifd.tags["Compression"].valueoffset
    file.getbuffer()[offset : offset + 2] = (6).to_bytes(2, "little")
    if subfiletype == 0:
        assert decode(file.getvalue(), settings).size == (16, 16)
    else:
        with pytest.raises(UnsupportedImageError, match="subsampled planes"):
            decode(file.getvalue(), settings)


def test_pillow_reads_the_common_kinds(settings: Settings) -> None:
    """Common kinds are decoded beside others; the rare ones in the separate process, because their decoder may crash."""
    common = (Page(picture(64)), Page(picture(64, 16), 16), Page(picture(64)[..., :1], 8, photometric=MIN_IS_BLACK))
    for page in common:
        assert decode_if_quick(tiff(page), settings) is not None
    for page in (Page(picture(64, 12), 12), Page(picture(64, 16), 16, planar=True)):
        with open_image(tiff(page), settings) as (image, cost):
            assert isinstance(image, TiffImage)
            assert not cost.is_quick(settings)
        assert decode_if_quick(tiff(page), settings) is None


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (Page(picture(64, 16)[..., :1], 16, photometric=CAMERA_RAW), "CFA"),
        (Page(picture(64)[..., :1], photometric=PALETTE, tags={320: (0,) * 768, 339: (2,)}), "palette of 8-bit values"),
        (Page(picture(64).astype("c8"), 64, 6), "64-bit complex"),
        (Page(picture(64)[..., :1], photometric=RGB), "1 samples a pixel"),
        (Page(picture(64), tags={259: (34661,)}), "compression 34661"),
        (Page(picture(64), tags={317: (7,)}), "predictor 7"),
        (Page(picture(64), photometric=YCBCR, planar=True, tags={530: (2, 2)}), "subsampled planes"),
    ],
)
def test_an_unsupported_kind_is_refused_by_its_name(page: Page, kind: str, settings: Settings) -> None:
    """Such a file is not damaged, and its owner learns how to save it otherwise."""
    with pytest.raises(UnsupportedImageError) as raised:
        check_image(tiff(page), settings, name="a.tif")
    assert str(raised.value) == f"a.tif is a TIFF of a kind that is not supported ({kind})."


def test_the_limits_hold_before_decoding(settings: Settings) -> None:
    """Pixels, and the memory of samples and of tiles that the header promises, are counted by the header."""
    huge = tiff(Page(picture(64, 12), 12, tags={256: (100_000,), 257: (90_000,)}))
    with pytest.raises(ImageTooLargeError, match="100000×90000 pixels"):
        check_image(huge, settings)
    doubles = tiff(Page(picture(64).astype("f8"), 64, FLOAT, tags={256: (12_000,), 257: (12_000,)}))
    with pytest.raises(ImageTooLargeError, match="GB to decode"):
        check_image(doubles, settings)
    tiles = {322: (1 << 20,), 323: (1 << 20,), 324: (8,), 325: (9,), 259: (8,)}
    with pytest.raises(ImageTooLargeError, match="GB to decode"):
        check_image(tiff(Page(picture(64, 12), 12, tags=tiles)), settings)


def test_a_damaged_file_is_an_error_of_the_image(settings: Settings) -> None:
    """A changed byte anywhere, or a missing end, is answered with a picture or a typed error."""
    rng = random.Random(5)
    pages = [Page(picture(64, 12), 12), Page(picture(64, 16), 16, planar=True), Page(picture(64) / 255, 32, FLOAT)]
    seeds = [tiff(page, big=page.planar) for page in pages]
    for compression in ("lzw", "deflate", "zstd", "webp", "lerc"):
        file = io.BytesIO()
        values = picture(64) if compression == "webp" else (picture(64) / 255).astype(np.float32)
        tifffile.imwrite(file, values, photometric="rgb", compression=compression)
        seeds.append(file.getvalue())
    errors = 0
    for _ in range(300):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 4))):
            content[rng.randrange(min(len(content), 400))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            del content[rng.randrange(8, len(content)) :]
        try:
            decode(bytes(content), settings)
        except ImageError:
            errors += 1
    assert 30 < errors < 270
