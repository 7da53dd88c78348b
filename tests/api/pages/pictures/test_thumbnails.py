"""Thumbnails: made once, upright, on white, and only of pictures that may be shown and are cheap to decode."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pydantic import SecretStr

from api.pages.pictures.thumbnails import SIDES, Thumbnails, scaled_jpeg
from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageForbiddenError, ImageTooLargeError
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.tables import Job


def job_about(image: Path | str, roots: list[Path] | None = None) -> Job:
    """Return a job about an image."""
    request = Request.about_image(image, model="demo", prompt="Describe this image.", sampling=Sampling())
    allowed = None if roots is None else json.dumps([str(root) for root in roots])
    return Job(model="demo", request=request.model_dump_json(), digest="", roots=allowed)


def opened(jpeg: bytes) -> Image.Image:
    """Open a thumbnail."""
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def test_a_thumbnail_is_made_once_and_again_after_the_picture_changed(settings: Settings, tmp_path: Path) -> None:
    """The file on the disk answers the second time."""
    path = tmp_path / "a.png"
    Image.new("RGB", (2000, 1000), "red").save(path)
    thumbnails = Thumbnails(settings)
    first = thumbnails.of(job_about(path), "small")
    assert opened(first).size == (SIDES["small"], SIDES["small"] // 2)
    (kept,) = (settings.data_dir / "thumbnails").rglob("*.jpg")
    kept.write_bytes(b"kept")
    assert thumbnails.of(job_about(path), "small") == b"kept"
    Image.new("RGB", (30, 60), "blue").save(path)
    assert opened(thumbnails.of(job_about(path), "small")).size == (30, 60)


def test_a_thumbnail_is_upright_on_white_and_without_metadata(settings: Settings, tmp_path: Path) -> None:
    """The orientation of the camera is applied, and transparent pixels are white, as a model sees them."""
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "<script>alert(1)</script>"
    Image.new("RGB", (400, 200), "red").save(turned, exif=exif)
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(clear)
    upright = opened(scaled_jpeg(turned, 100, settings))
    assert upright.size == (50, 100)
    assert not dict(upright.getexif())
    assert opened(scaled_jpeg(clear, 100, settings)).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str, settings: Settings, tmp_path: Path) -> None:
    """Sixteen bits are not cut off to white."""
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (20, 20), 20_000 if mode == "I;16" else None or 0).save(path)
    pixel = opened(scaled_jpeg(path, 100, settings)).getpixel((5, 5))
    assert isinstance(pixel, tuple)
    if mode == "I;16":
        assert 70 < pixel[0] < 86


def test_no_limit_is_stretched_for_a_thumbnail(settings: Settings, tmp_path: Path) -> None:
    """A picture that a decoder beside others may not take has no thumbnail, and a bomb is refused by its header."""
    path = tmp_path / "large.png"
    Image.new("RGB", (3000, 3000)).save(path)
    small = settings.model_copy(update={"decode_memory": 100_000_000})
    with pytest.raises(ImageTooLargeError, match="is not shown"):
        scaled_jpeg(path, 100, small)
    with pytest.raises(ImageTooLargeError, match="pixels"):
        scaled_jpeg(path, 100, settings.model_copy(update={"max_image_pixels": 1000}))


def test_pictures_outside_of_the_served_folders_are_not_shown_to_other_machines(
    settings: Settings, tmp_path: Path
) -> None:
    """The job's own roots hold always; with API keys, runs of the command line are shown below served folders only."""
    path = tmp_path / "a.png"
    Image.new("RGB", (20, 20)).save(path)
    keys = settings.model_copy(update={"api_keys": {"one": SecretStr("a-long-secret")}})
    assert Thumbnails(settings).of(job_about(path), "small")
    for refusing in (keys, keys.model_copy(update={"served_roots": (tmp_path / "other",)})):
        with pytest.raises(ImageForbiddenError):
            Thumbnails(refusing).of(job_about(path), "small")
    assert Thumbnails(keys.model_copy(update={"served_roots": (tmp_path,)})).of(job_about(path), "small")
    with pytest.raises(ImageForbiddenError):
        Thumbnails(settings).of(job_about(path, roots=[tmp_path / "other"]), "small")
    with pytest.raises(ImageError, match="not stored here"):
        Thumbnails(settings).of(job_about("https://example.com/a.png"), "small")
