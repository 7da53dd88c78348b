"""The values of a template's fields, from an image's names and metadata."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from jobs.captions.field_values import field_values
from jobs.configuration.settings import Settings
from jobs.options.prompts.templates import TEXT_FIELDS


def test_a_file_has_names_and_metadata(tmp_path: Path, settings: Settings) -> None:
    """Only the wanted fields are looked for."""
    exif = Image.Exif()
    exif[0x0110] = "Camera 1"
    image = tmp_path / "lake.v2.jpg"
    Image.new("RGB", (8, 8)).save(image, exif=exif)
    values = field_values(image, {"name", "stem", "folder", "camera", "people"}, settings)
    assert values == {
        "name": "lake.v2.jpg",
        "stem": "lake.v2",
        "folder": tmp_path.name,
        "camera": "Camera 1",
        "people": "",
    }
    assert field_values(image, {"name"}, settings) == {"name": "lake.v2.jpg"}


def test_a_file_that_cannot_be_read_has_empty_metadata(tmp_path: Path, settings: Settings) -> None:
    """Its own job says why."""
    values = field_values(tmp_path / "gone.jpg", TEXT_FIELDS, settings)
    assert values.pop("name") == "gone.jpg"
    assert {values[name] for name in ("date", "camera", "title")} == {""}
