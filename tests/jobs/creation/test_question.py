"""The question of a run, with fields that each image fills."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.captions import field_values
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, job_about
from jobs.options.delivery import DeliveryOptions
from jobs.sampling import Sampling
from jobs.store.tables import Batch, Job

QUESTION = Question("demo", '{name} of {folder}, {camera}, {title}: {caption} {colour} {"a": 1}', Sampling())
BATCH = Batch(description="test", model="demo")


def asked(image: Path, question: Question, settings: Settings | None, roots: str | None = None) -> Job:
    """Make the row of an image that may have a text."""
    output = image.with_suffix(".txt")
    before = "a fingerprint" if output.exists() else None
    return job_about(PendingImage.at(image, output, before=before), question, BATCH, roots, settings=settings)


def picture(path: Path) -> Path:
    """Save a picture with a camera."""
    exif = Image.Exif()
    exif[0x0110] = "Camera {1}"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def test_a_prompt_has_the_fields_of_its_image(tmp_path: Path, settings: Settings) -> None:
    """Other braces stay, and values are not searched for fields; the text that the image has is one of them."""
    image = picture(tmp_path / "{name}.jpg")
    image.with_suffix(".txt").write_bytes("Grün {title}\r\n".encode("cp1252"))
    job = asked(image, QUESTION, settings)
    assert job.parsed_request().messages[0].texts == [
        f'{{name}}.jpg of {tmp_path.name}, Camera {{1}}, : Grün {{title}} {{colour}} {{"a": 1}}'
    ]
    assert job.digest == QUESTION.digest_of(image) == asked(image, QUESTION, settings).digest
    assert job.digest != asked(image, replace(QUESTION, prompt="{name}"), settings).digest


def test_a_template_is_filled_when_the_job_is_queued(tmp_path: Path, settings: Settings) -> None:
    """The fields that only the answer has stay; braces of values are not fields."""
    image = picture(tmp_path / "lake.jpg")
    delivery = DeliveryOptions(template="{{{trigger}}} {caption} ({camera}, {stem})", trigger="ohwx")
    filled = asked(image, replace(QUESTION, delivery=delivery), settings).parsed_delivery()
    assert filled.template == "{{{trigger}}} {caption} (Camera {{1}}, lake)"
    plain = DeliveryOptions(template="{caption}!")
    assert asked(image, replace(QUESTION, delivery=plain), settings).delivery == plain.stored


def test_a_file_is_opened_only_for_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names cost nothing in a folder of many images."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(field_values, "open_image", refuse)
    job = asked(picture(tmp_path / "lake.jpg"), replace(QUESTION, prompt="{name} {stem} {folder} {caption}"), None)
    assert job.parsed_request().messages[0].texts == [f"lake.jpg lake {tmp_path.name} "]


def test_no_metadata_comes_from_outside_the_roots_or_from_a_pipe(tmp_path: Path, settings: Settings) -> None:
    """A link may lead out of the served folders, and a pipe would be waited for."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "link.jpg").symlink_to(picture(outside / "photo.jpg"))
    os.mkfifo(inside / "pipe.jpg")
    (inside / "packet.xmp").write_text(PACKET)
    picture(inside / "lake.jpg")
    (inside / "lake.xmp").symlink_to(inside / "packet.xmp")
    os.mkfifo(inside / "lake.jpg.xmp")
    question = replace(QUESTION, prompt="{camera}|{title}")
    roots = f'["{inside}"]'
    prompts = [
        asked(inside / name, question, settings, roots).parsed_request().messages[0].texts
        for name in ("link.jpg", "pipe.jpg", "lake.jpg")
    ]
    assert prompts == [["|"], ["|"], ["Camera {1}|"]]
    (inside / "lake.xmp").unlink()
    (inside / "packet.xmp").rename(inside / "lake.xmp")
    (inside / "lake.jpg.xmp").unlink()
    assert asked(inside / "lake.jpg", question, settings, roots).parsed_request().messages[0].texts == [
        "Camera {1}|A lake"
    ]


PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Headline="A lake"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def test_a_run_without_texts_asks_about_the_text_that_is_there(tmp_path: Path, settings: Settings) -> None:
    """No fingerprint of the text was taken, as the run does not change it."""
    image = picture(tmp_path / "lake.jpg")
    question = replace(QUESTION, prompt="Mend: {caption}", delivery=DeliveryOptions(output=("json",)))
    pending = PendingImage.at(image, image.with_suffix(".txt"))
    for text in ("", "A lake."):
        pending.output.write_text(f"{text}\n")
        job = job_about(pending, question, BATCH, settings=settings)
        assert job.parsed_request().messages[0].texts == [f"Mend: {text}"]
