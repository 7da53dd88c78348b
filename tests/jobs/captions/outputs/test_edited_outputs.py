"""A person's edit in every file that the run wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.captions.outputs.exiftool import ExifTool
from jobs.captions.outputs.tables import row_of
from jobs.captions.outputs.xmp_packet import description_of
from jobs.creation.review import save_edit, take_edit_back, text_to_edit
from jobs.errors import OutputChangedError
from jobs.images.xmp import parse_xmp
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.outputs import captioned, contents, make_run, save_picture


def edit(store: Store, job: Job, text: str) -> Job:
    """Edit the job's text, and return its row."""
    row = store.job(job.id)
    save_edit(row, text_to_edit(row), text, store)
    return store.job(job.id)


def take_back(store: Store, job: Job) -> None:
    """Take the edit back."""
    row = store.job(job.id)
    take_edit_back(row, text_to_edit(row), store)


def embedded(image: Path) -> dict[str, object]:
    """Return the description and the keywords that an image file holds."""
    with ExifTool() as exiftool, image.open("rb") as file:
        exiftool.take(file)
        return exiftool.read(["XMP-dc:Description", "XMP-dc:Subject", "IPTC:Keywords"])


def test_an_edit_and_its_undo_reach_text_json_sidecar_and_image(store: Store, tmp_path: Path) -> None:
    """Two edits in a row, then the undo: every file holds the newest caption, and then the model's again."""
    image = save_picture(tmp_path / "a.jpg")
    job = captioned(store, image, make_run(store), "A boat.", output=("txt", "json", "xmp"), embed=True)
    before = contents(tmp_path)
    for text in ("A red ship.", "A ship at sea."):
        assert row_of(edit(store, job, text))["caption"] == text
        assert (tmp_path / "a.txt").read_text() == f"{text}\n"
        assert json.loads((tmp_path / "a.json").read_text())["caption"] == text
        assert description_of((tmp_path / "a.xmp").read_bytes()) == text
        assert embedded(image)["XMP-dc:Description"] == text
    take_back(store, job)
    after = contents(tmp_path)
    assert {name: after[name] for name in ("a.txt", "a.json", "a.xmp")} == {
        name: before[name] for name in ("a.txt", "a.json", "a.xmp")
    }
    assert embedded(image)["XMP-dc:Description"] == "A boat."
    assert store.job(job.id).edited_text is None


def test_keywords_that_an_edit_leaves_out_are_removed(store: Store, tmp_path: Path) -> None:
    """Keywords of other programs stay, and the undo brings the model's back."""
    image = save_picture(tmp_path / "a.jpg")
    delivery = {"output": ("txt", "xmp"), "embed": True, "keywords": True}
    job = captioned(store, image, make_run(store), "sea, boat", **delivery)
    sidecar = tmp_path / "a.xmp"
    sidecar.write_bytes(sidecar.read_bytes().replace(b"<rdf:li>boat", b"<rdf:li>mine</rdf:li><rdf:li>boat"))
    edit(store, job, "sea, ship")
    assert parse_xmp(sidecar.read_bytes())["keywords"] == "sea, mine, ship"
    assert embedded(image)["XMP-dc:Subject"] == embedded(image)["IPTC:Keywords"] == ["sea", "ship"]
    take_back(store, job)
    assert parse_xmp(sidecar.read_bytes())["keywords"] == "sea, mine, boat"
    assert embedded(image)["IPTC:Keywords"] == ["sea", "boat"]


def test_a_file_that_another_program_changed_keeps_the_whole_edit_out(store: Store, tmp_path: Path) -> None:
    """The sentence names it, and the text and the row stay."""
    job = captioned(store, save_picture(tmp_path / "a.jpg"), make_run(store), "A boat.", output=("txt", "json"))
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(OutputChangedError, match=r"a\.json was not written by captionq"):
        edit(store, job, "A ship.")
    assert (tmp_path / "a.txt").read_text() == "A boat.\n"
    assert store.job(job.id).edited_text is None


def test_a_run_without_text_files_gets_none_by_an_edit(store: Store, tmp_path: Path) -> None:
    """Only the files of the run change."""
    job = captioned(store, save_picture(tmp_path / "a.jpg"), make_run(store), "A boat.", output=("json",))
    edit(store, job, "A ship.")
    assert sorted(contents(tmp_path)) == ["a.jpg", "a.json"]
    assert json.loads((tmp_path / "a.json").read_text())["caption"] == "A ship."


def test_the_undo_of_an_added_text_keeps_the_persons_words(store: Store, tmp_path: Path) -> None:
    """A run that adds to texts wrote both: both come back."""
    (tmp_path / "a.txt").write_text("My trip.\n")
    job = captioned(store, save_picture(tmp_path / "a.jpg"), make_run(store), "A boat.", existing="append")
    both = (tmp_path / "a.txt").read_text()
    edit(store, job, "Nothing.")
    take_back(store, job)
    assert (tmp_path / "a.txt").read_text() == both
    assert "My trip." in both
