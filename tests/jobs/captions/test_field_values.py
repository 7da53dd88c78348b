"""The values of a template's fields, from an image's names and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
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


@pytest.mark.parametrize("damage", [b"", b"8BIM\4", b"8BIM\4\4\0\0\xff\xff\xff\xff"])
def test_a_jpeg_has_the_title_and_the_keywords_of_its_iptc(tmp_path: Path, settings: Settings, damage: bytes) -> None:
    """Also if the resources of Photoshop behind it are cut off."""
    iptc = b"".join(
        b"\x1c\2" + bytes([kind]) + len(value).to_bytes(2) + value
        for kind, value in ((5, b"The lake"), (25, b"boat"), (25, "gr\u00fcn".encode()))
    )
    blocks = b"8BIM\4\x25\1x\0\0\0\1a\0" + b"8BIM\4\4\0\0" + len(iptc).to_bytes(4) + iptc
    segment = b"Photoshop 3.0\0" + blocks + b"\0" * (len(iptc) % 2) + damage
    image = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(image)
    content = image.read_bytes()
    image.write_bytes(content[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + content[2:])
    values = field_values(image, {"title", "keywords"}, settings)
    assert values == {"title": "The lake", "keywords": "boat, gr\u00fcn"}


def test_a_file_that_cannot_be_read_has_empty_metadata(tmp_path: Path, settings: Settings) -> None:
    """Its own job says why."""
    values = field_values(tmp_path / "gone.jpg", TEXT_FIELDS, settings)
    assert values.pop("name") == "gone.jpg"
    assert {values[name] for name in ("date", "camera", "title")} == {""}
