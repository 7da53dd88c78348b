"""The check of an image's header: it refuses images that the worker would refuse, and decodes nothing."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import cache
from pathlib import Path

import pillow_heif
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from jobs.configuration.settings import Settings
from jobs.errors import ImageError
from jobs.images.opening import check_image, open_image
from tests.support.bad_images import write_bad_images
from tests.support.scenes import draw
from worker.pixels.decode import decode

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")


@cache
def picture(kind: str) -> bytes:
    """Make a small picture of this format, with metadata if the format has any."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    metadata = {} if kind in ("GIF", "BMP") else {"exif": exif.tobytes()}
    draw(5, (64, 48)).image.save(file, format=kind, **metadata)
    return file.getvalue()


def code_of(content: bytes | Path, settings: Settings) -> str:
    """Return the code of the error that the check raises; `ok` if there is none."""
    try:
        check_image(content, settings)
    except ImageError as error:
        return error.code if "\n" not in error.message else "more than a line"
    return "ok"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_good_image_passes_and_is_not_decoded(
    settings: Settings, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From memory and from a file with any name."""

    path = tmp_path / "a.txt"
    path.write_bytes(picture(kind))

    # Pillow's modules draw when they are imported.
    Image.init()

    def load(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    check_image(picture(kind), settings)
    check_image(path, settings)


def test_every_bad_file_that_its_header_gives_away_has_the_reason_of_the_worker(
    tmp_path: Path, settings: Settings
) -> None:
    """A file that is cut off behind the header is left to the worker."""
    expected = write_bad_images(tmp_path / "bad")
    found = {name: code_of(tmp_path / "bad" / name, settings) for name in expected}
    assert {name: code for name, code in found.items() if code != "ok"}.items() <= expected.items()
    passed = {name for name, code in found.items() if code == "ok"}
    assert passed <= {"truncated.jpg", "truncated.png", "truncated.webp", "truncated.tiff"}


def test_formats_that_nobody_decodes_are_refused_unopened(settings: Settings) -> None:
    """Pillow knows dozens of formats; some start other programs."""
    assert code_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", settings) == "unsupported_image_media_type"
    for kind in ("PPM", "TGA", "ICO", "PCX"):
        file = io.BytesIO()
        draw(5, (64, 48)).image.save(file, format=kind)
        assert code_of(file.getvalue(), settings) == "unsupported_image_media_type"


def test_nothing_is_an_empty_image(settings: Settings) -> None:
    """The code is that of an empty file."""
    assert code_of(b"", settings) == "empty_image_file"


@pytest.mark.parametrize("kind", FORMATS)
def test_too_many_pixels_are_refused_from_the_header(settings: Settings, kind: str) -> None:
    """64 × 48 are 3072."""
    assert code_of(picture(kind), settings.model_copy(update={"max_image_pixels": 3071})) == "image_too_large"
    assert code_of(picture(kind), settings.model_copy(update={"max_image_pixels": 3072})) == "ok"


def test_the_limit_of_pixels_is_ours_and_not_pillows(settings: Settings) -> None:
    """Pillow warns at 89 megapixels and raises at 179."""
    file = io.BytesIO()
    Image.new("1", (19_000, 10_000)).save(file, format="PNG")
    assert code_of(file.getvalue(), settings) == "ok"


def test_an_error_calls_the_image_by_the_name_that_is_given(tmp_path: Path, settings: Settings) -> None:
    """The name of a blob's file means nothing to a client."""
    path = tmp_path / "0123abcd"
    path.write_bytes(b"rubbish")
    with pytest.raises(ImageError, match=r"^holiday\.png is not a supported image"):
        check_image(path, settings, name="holiday.png")
    with pytest.raises(ImageError, match=r"^0123abcd is not a supported image"):
        check_image(path, settings)
    with pytest.raises(ImageError, match=r"^The data is not a supported image"):
        check_image(b"rubbish", settings)
    path.unlink()
    assert code_of(path, settings) == "image_file_not_found"


def test_pillow_is_not_loaded_before_an_image_is_looked_at() -> None:
    """Most processes never look at an image."""
    code = "import sys, jobs.images.opening; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_warning_about_metadata_refuses_no_image(settings: Settings) -> None:
    """Not even in tests, which turn warnings into errors."""
    content = bytearray(picture("TIFF"))
    fields = int.from_bytes(content[4:8], "little") + 2
    number = int.from_bytes(content[fields - 2 : fields], "little")
    # The last field is said to be a list that lies beyond the end of the file.
    last = fields + 12 * (number - 1)
    content[last + 4 : last + 12] = (1000).to_bytes(4, "little") + len(content).to_bytes(4, "little")
    with pytest.warns(UserWarning, match="Truncated File Read"):
        Image.open(io.BytesIO(content))
    check_image(bytes(content), settings)


def mutations() -> st.SearchStrategy[bytes]:
    """Make a picture of any format with some bytes of its header changed, or cut off."""

    def changed(kind: str, changes: list[tuple[int, bytes]], end: int | None) -> bytes:
        content = picture(kind)
        for position, piece in changes:
            content = content[:position] + piece + content[position + len(piece) :]
        return content[:end]

    pieces = st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
    changes = st.lists(st.tuples(st.integers(0, 400), pieces), max_size=5)
    return st.builds(changed, st.sampled_from(FORMATS), changes, st.none() | st.integers(0, 700))


@given(mutations() | st.binary(max_size=200))
@hypothesis_settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_ends_with_an_image_error_and_never_with_another_than_the_workers(
    settings: Settings, content: bytes
) -> None:
    """Images that the worker can use pass; the worker refuses all others for the same reason."""
    small = settings.model_copy(update={"max_image_pixels": 1_000_000})
    code = code_of(content, small)
    if code != "ok":
        with pytest.raises(ImageError) as raised:
            decode(content, small)
        assert raised.value.code == code


def test_no_file_that_is_opened_can_be_mapped_into_memory(tmp_path: Path, settings: Settings) -> None:
    """Pillow maps files by their names, libtiff by their descriptors; a mapped file that is cut short kills the process."""
    for kind in FORMATS:
        path = tmp_path / f"a.{kind}"
        path.write_bytes(picture(kind))
        with open_image(path, settings) as (image, _):
            assert not getattr(image, "filename", "")
            if isinstance(image, ImageFile.ImageFile) and image.fp is not None and not isinstance(image.fp, io.BytesIO):
                with pytest.raises(io.UnsupportedOperation):
                    image.fp.fileno()
