"""Pictures of RAW photographs, PDFs and videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from jobs.images.formats import container_kinds
from jobs.images.opening import check_image
from jobs.requests import Request
from jobs.sampling import Sampling
from tests.support.containers import dng, pdf, video
from worker.models.inputs import Prepared
from worker.pipeline.pipeline import Pipeline
from worker.pixels.decode import Picture, decode, decode_if_quick, decode_pictures
from worker.pixels.decoder import Decoder

COLOURS = ("red", "green", "blue")
FORMS = ("mp4", "mov", "matroska", "webm", "avi", "mpegts")


def plain(size: tuple[int, int] = (320, 240)) -> list[Image.Image]:
    """Return a picture of each colour."""
    return [Image.new("RGB", size, colour) for colour in COLOURS]


def shown(pictures: Sequence[Picture]) -> list[str]:
    """Name the colours of the pictures' middles."""
    middles = [one.image.getpixel((one.image.width // 2, one.image.height // 2)) for one in pictures]
    return [COLOURS[max(range(3), key=lambda band: pixel[band])] for pixel in middles if isinstance(pixel, tuple)]


@pytest.fixture
def decoder(settings: Settings) -> Iterator[Decoder]:
    """A decoder in a process of its own."""
    decoder = Decoder(settings)
    yield decoder
    decoder.close()


@pytest.mark.parametrize("form", FORMS)
def test_frames_of_a_video_are_evenly_spaced(settings: Settings, form: str) -> None:
    """The first frame is the first one; the container may know the length or not."""
    content = video(plain(), form)
    assert shown(decode_pictures(content, settings)) == ["red"]
    assert shown(decode_pictures(content, settings, frames=3)) == ["red", "green", "blue"]


def test_pages_of_a_pdf_are_shown_from_the_first_on(settings: Settings) -> None:
    """As many as there are, each with the pixels that the model sees."""
    content = pdf(plain())
    assert shown(decode_pictures(content, settings)) == ["red"]
    pages = decode_pictures(content, settings, frames=9)
    assert shown(pages) == ["red", "green", "blue"]
    assert all(0.98 <= page.image.width * page.image.height / settings.max_pixels <= 1.01 for page in pages)


def test_a_raw_photograph_shows_its_preview_if_that_is_large_enough(settings: Settings) -> None:
    """A preview with fewer pixels than the model sees is passed over, and the photograph is developed."""
    red = (200, 20, 20)
    preview = Image.new("RGB", (64, 48), "blue")
    assert shown(decode_pictures(dng(red), settings)) == ["red"]
    assert shown(decode_pictures(dng(red, preview=preview), settings)) == ["blue"]
    assert shown(decode_pictures(dng(red, (640, 480), preview), settings)) == ["red"]
    few = settings.model_copy(update={"max_pixels": 64 * 48})
    assert shown(decode_pictures(dng(red, (640, 480), preview), few)) == ["blue"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [("a.dng", dng((9, 9, 9)), "RAW"), ("a.pdf", pdf(plain()), "PDF"), ("a.mp4", video(plain()), "video")],
    ids=["raw", "pdf", "video"],
)
def test_a_missing_extra_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, kind: str
) -> None:
    """The header is enough to know it; with the extra the file is decoded in the decoder's process only."""
    check_image(content, settings, name=name)
    assert decode_if_quick(content, settings) is None
    monkeypatch.setattr(container_kinds, "_is_installed", lambda module: False)
    with pytest.raises(
        UnsupportedImageError, match=rf"^{name} is a {kind}.*\. To read it: pip install 'captionq\[\w+\]'$"
    ):
        check_image(content, settings, name=name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.dng", dng((9, 9, 9))[:400], "a.dng is damaged: its RAW data cannot be decoded."),
        ("a.pdf", pdf(plain())[:200], "a.pdf is damaged: its PDF data cannot be read."),
        ("a.mp4", video(plain())[:2000], "a.mp4 is damaged: its video data cannot be decoded."),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a.cr3 is damaged: its RAW data cannot be decoded."),
        ("a.x3f", b"FOVb".ljust(4096, b"x"), "a.x3f is a RAW photograph of a kind that is not supported."),
    ],
    ids=["raw", "pdf", "video", "cr3", "x3f"],
)
def test_a_damaged_file_is_named(settings: Settings, name: str, content: bytes, reason: str) -> None:
    """The error says which kind of data is damaged."""
    with pytest.raises(ImageError) as raised:
        decode(content, settings, name=name)
    assert raised.value.message == reason


@pytest.mark.parametrize("content", [dng((9, 9, 9)), video(plain((64, 48)))], ids=["raw", "video"])
def test_the_pixels_are_limited_before_they_are_decoded(settings: Settings, content: bytes) -> None:
    """By the size that the file announces. A PDF has no pixels of its own."""
    small = settings.model_copy(update={"max_image_pixels": 1000})
    with pytest.raises(ImageTooLargeError, match="64×48 pixels"):
        decode(content, small)


def test_one_request_shows_all_frames_of_its_file(settings: Settings, decoder: Decoder, tmp_path: Path) -> None:
    """Each frame is an image of the request, decoded in the decoder's process."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(video(plain()))
    assert shown(decoder.decode_frames(path, frames=3)) == ["red", "green", "blue"]
    prepared: list[tuple[int, int]] = []
    pipeline = Pipeline(settings)
    pipeline.load("demo")
    pool = pipeline._preparations
    prepare = pool._prepare

    def count(request: Request, images: list[Image.Image]) -> Prepared:
        prepared.append((len(request.images), len(images)))
        return prepare(request, images)

    pool._prepare = count
    asked = Request.about_image(path, model="demo", prompt="Describe this.", sampling=Sampling(max_tokens=2), frames=2)
    pipeline.begin("clip", asked)
    while not (outcomes := pipeline.step()):
        pass
    pipeline.close()
    assert outcomes[0].error is None, outcomes[0].error
    assert prepared == [(2, 2)]


def test_an_orientation_of_a_raw_turns_its_preview(settings: Settings) -> None:
    """A photograph that is developed is turned too."""
    preview = Image.new("RGB", (64, 48), "blue")
    assert decode(dng((9, 9, 9), preview=preview), settings).size == (64, 48)
    assert decode(dng((9, 9, 9), preview=preview, orientation=6), settings).size == (48, 64)
    assert decode(dng((9, 9, 9), orientation=6), settings).size == (48, 64)
