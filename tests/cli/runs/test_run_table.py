"""The table of a run: each image has the row of what this run did, or the text that it had before."""

from __future__ import annotations

import csv
from pathlib import Path

from cli.runs.run_table import RunTable
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.errors import UnsupportedImageError
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus
from tests.support.rows import RESULT, make_job


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read a table of CSV."""
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def captioned(store: Store, image: Path) -> Job:
    """Let an earlier job caption an image."""
    job = make_job()
    job.source, job.output = image.as_uri(), image.with_suffix(".txt").as_uri()
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, RESULT)
    return job


def test_an_image_that_failed_now_has_no_caption_of_an_earlier_run(store: Store, tmp_path: Path) -> None:
    """Its file may be another picture by now."""
    image, table = tmp_path / "photo.jpg", RunTable(tmp_path / "captions.csv")
    captioned(store, image)
    again = make_job()
    again.source, again.output = image.as_uri(), image.with_suffix(".txt").as_uri()
    store.add([again])
    store.fail(again.id, UnsupportedImageError("photo.jpg is damaged."))
    table.add(PendingImage.at(image, image.with_suffix(".txt")))
    table.write(store)
    (row,) = rows_of(tmp_path / "captions.csv")
    assert (row["status"], row["caption"], row["error"]) == (JobStatus.FAILED, "", "photo.jpg is damaged.")


def test_a_skipped_image_has_the_text_of_its_file(store: Store, tmp_path: Path) -> None:
    """In whichever encoding a person wrote it. The model and the prompt are those of the job that captioned it, if one did."""
    image, table = tmp_path / "photo.jpg", RunTable(tmp_path / "captions.csv")
    captioned(store, image)
    image.with_suffix(".txt").write_bytes("Ein Bär\r\n".encode("utf-16"))
    table.add(SkippedImage(PendingImage.at(image, image.with_suffix(".txt")).place))
    table.write(store)
    (row,) = rows_of(tmp_path / "captions.csv")
    assert (row["status"], row["caption"], row["model"]) == ("skipped", "Ein Bär", "demo")


def test_an_image_that_a_watch_finds_again_has_one_row(store: Store, tmp_path: Path) -> None:
    """What the run wrote about it counts, whatever comes first; without images there is no table."""
    images = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    table = RunTable(tmp_path / "captions.csv")
    assert not table.has_images
    for image in images:
        captioned(store, image)
    wanted = [PendingImage.at(image, image.with_suffix(".txt")) for image in images]
    for one in (wanted[0], SkippedImage(wanted[0].place), SkippedImage(wanted[1].place), wanted[1]):
        table.add(one)
    table.write(store)
    rows = [(row["path"], row["status"]) for row in rows_of(tmp_path / "captions.csv")]
    assert table.has_images
    assert rows == [(str(image), JobStatus.SUCCEEDED) for image in images]
