"""The cost of decoding an image, known before a pixel is decoded."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageTooLargeError, ImageTooSlowError
from jobs.images.decode_cost import MAX_SCANS, Cost
from jobs.images.opening import check_image, open_image
from tests.support.odd_pictures import scanned_jpeg, write_png
from tests.support.scenes import draw


def cost(content: bytes | Path, settings: Settings) -> Cost:
    """Return the cost of an image that is not refused."""
    with open_image(content, settings) as (_, found):
        return found


def jpeg(size: tuple[int, int], **options: object) -> bytes:
    """Encode a picture as a JPEG."""
    file = io.BytesIO()
    draw(3, size).image.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("scans", [9, 200, MAX_SCANS])
def test_the_scans_of_a_progressive_jpeg_are_counted(settings: Settings, scans: int) -> None:
    """Decoders go over the whole image for each scan."""
    found = cost(scanned_jpeg((64, 48), scans), settings)
    assert found.scans == scans
    assert found.work == scans * 64 * 48


def test_too_many_scans_are_refused_undecoded(settings: Settings) -> None:
    """The refusal comes with the request, and has the figure."""
    with pytest.raises(ImageTooSlowError, match=rf"^The image has more than {MAX_SCANS} scans") as raised:
        check_image(scanned_jpeg((64, 48), MAX_SCANS + 1), settings)
    assert raised.value.code == "image_too_slow"


def test_scans_that_no_decoder_comes_to_are_not_counted(settings: Settings) -> None:
    """Scans of a thumbnail in the metadata, behind the image's end, or after a scan with all components do not count."""
    many = scanned_jpeg((64, 48), MAX_SCANS + 1)
    exif = Image.Exif()
    exif[0x010E] = "\xff\xda" * 900
    assert cost(jpeg((64, 48), exif=exif.tobytes(), progressive=True), settings).scans < 20
    assert cost(jpeg((64, 48), progressive=True) + many, settings).scans < 20
    baseline = jpeg((64, 48))
    assert cost(baseline[:-2] + many[2:], settings).scans == 1


def test_the_scans_of_a_large_file_are_counted_where_they_matter(settings: Settings) -> None:
    """Bytes behind the image may look like a scan by chance, such as the film of a motion photograph."""
    content = scanned_jpeg((4000, 4000), 9)
    start = content.rindex(b"\xff\xda")
    comments = b"".join(b"\xff\xfe\xff\xff" + bytes(65533) for _ in range(8))
    large = content[:start] + comments + content[start:]
    assert cost(large + b"\xff\xda" * 2, settings).is_quick(settings)
    assert cost(large + b"\xff\xda" * 900, settings).scans == 9


def test_scans_behind_a_comment_that_looks_like_the_end_are_counted(settings: Settings) -> None:
    """The bytes of a comment are not markers."""
    content = scanned_jpeg((64, 48), 30)
    last = content.rindex(b"\xff\xda")
    comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xda"
    assert cost(content[:last] + comment + content[last:], settings).scans == 30


def test_a_file_is_read_from_its_beginning_and_decoded_all_the_same(tmp_path: Path, settings: Settings) -> None:
    """Counting moves the file's position, from which the decoder continues."""
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg((640, 480), progressive=True))
    with open_image(path, settings) as (image, _), Image.open(path) as other:
        assert image.tobytes() == other.tobytes()


def test_ordinary_photographs_are_quick(tmp_path: Path, settings: Settings) -> None:
    """Tried with a camera's 24 megapixels, and a phone's format."""
    assert cost(jpeg((6000, 4000), quality=30), settings).is_quick(settings)
    write_png(tmp_path / "a.png", (6000, 4000), depth=8, colour=2, pixel=b"abc")
    assert cost(tmp_path / "a.png", settings).is_quick(settings)


def test_large_pictures_and_many_scans_are_not_quick(tmp_path: Path, settings: Settings) -> None:
    """Tried with a hundred passes over 25 megapixels, and with 400 MB of pixels."""
    assert not cost(scanned_jpeg((5000, 5000), 100), settings).is_quick(settings)
    write_png(tmp_path / "a.png", (10_000, 10_000), depth=8, colour=2, pixel=b"abc")
    assert not cost(tmp_path / "a.png", settings).is_quick(settings)


def test_an_image_that_cannot_fit_is_refused_from_its_header(settings: Settings) -> None:
    """The canvas of an animated WebP is held four times in memory, even if the file is small."""
    frames = [Image.new("RGB", (640, 480), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    check_image(file.getvalue(), settings)
    small = settings.model_copy(update={"decode_memory": 4_000_000})
    with pytest.raises(ImageTooLargeError, match=r"640×480 WEBP.*CAPTIONQ_DECODE_MEMORY"):
        check_image(file.getvalue(), small)
