"""Tables of captions: each format holds the same rows, and spreadsheets run none of them."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.outputs.csv_cells import csv_line
from jobs.captions.outputs.tables import COLUMNS, row_of, table_format, write_table
from jobs.errors import EmptyImageError, InvalidRequestError, MissingToolError, OutputOccupiedError
from jobs.store.queries.caption_runs import best_jobs, newest_caption_run
from jobs.store.queries.run_pictures import PictureChoice, chosen_jobs
from jobs.store.store import Store
from tests.support.outputs import captioned, claim_job, make_run, save_picture

CAPTION = '=HYPERLINK("https://a.example"), "grün",\nzwei Zeilen'


def test_all_formats_hold_the_same_rows(store: Store, tmp_path: Path) -> None:
    """In the order of the paths, failures with their reason; the newest run is found."""
    batch = make_run(store)
    failed = claim_job(store, save_picture(tmp_path / "b.jpg"), batch)
    store.fail(failed.id, EmptyImageError("b.jpg is cut off."))
    captioned(store, save_picture(tmp_path / "a.jpg"), batch, CAPTION)
    make_run(store)
    assert newest_caption_run(store.engine) == batch.id
    rows = [row_of(job) for job in chosen_jobs(store.engine, batch.id, PictureChoice())]
    assert [Path(row["path"]).name for row in rows] == ["a.jpg", "b.jpg"]
    assert rows[0] | {"path": ""} == {
        "path": "",
        "caption": CAPTION,
        "model": "demo",
        "prompt": "Describe this image.",
        "tokens": 9,
        "seconds": 0.06,
        "status": "succeeded",
        "error": None,
    }
    assert (rows[1]["status"], rows[1]["error"]) == ("failed", "b.jpg is cut off.")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        assert write_table(tmp_path / name, rows, table_format(tmp_path / name)) == 2
    assert [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()] == rows
    with (tmp_path / "t.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == list(COLUMNS)
    assert table[0]["caption"] == f"'{CAPTION}"
    assert table[1]["caption"] == ""
    from pyarrow import parquet

    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    assert list(tmp_path.glob(".captionq-*")) == []


def test_every_image_has_its_best_caption(store: Store, tmp_path: Path) -> None:
    """The newest job that succeeded, also if others failed after it."""
    image = save_picture(tmp_path / "a.jpg")
    captioned(store, image, make_run(store), "old")
    captioned(store, image, make_run(store), "new")
    failed = claim_job(store, image, make_run(store))
    store.fail(failed.id, EmptyImageError("a.jpg is cut off."))
    assert [job.text for job in best_jobs(store.engine)] == ["new"]


def test_metadata_names_images_relative_to_its_folder(store: Store, tmp_path: Path) -> None:
    """As imagefolder reads it: only images with captions, and none that lies elsewhere."""
    (tmp_path / "set" / "train").mkdir(parents=True)
    batch, target = make_run(store), tmp_path / "set" / "metadata.jsonl"
    captioned(store, save_picture(tmp_path / "set" / "train" / "a b.jpg"), batch, "A boat.")
    failed = claim_job(store, save_picture(tmp_path / "set" / "b.jpg"), batch)
    store.fail(failed.id, EmptyImageError("b.jpg is cut off."))
    rows = [row_of(job) for job in chosen_jobs(store.engine, batch.id, PictureChoice())]
    write_table(target, rows, "metadata")
    assert json.loads(target.read_text()) == {"file_name": "train/a b.jpg", "text": "A boat."}
    with pytest.raises(InvalidRequestError, match=r"does not lie below .*train"):
        write_table(tmp_path / "set" / "train" / "metadata.jsonl", [*rows, {**rows[-1], "path": "/b.jpg"}], "metadata")
    assert not (tmp_path / "set" / "train" / "metadata.jsonl").exists()


def test_tables_that_cannot_be_written_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is generated; the sentence names the way out."""
    (tmp_path / "folder.csv").mkdir()
    for name, error, reason in (
        ("captions.xlsx", InvalidRequestError, r"Let it end in \.csv"),
        ("nowhere/captions.csv", InvalidRequestError, "does not exist"),
        ("folder.csv", OutputOccupiedError, "is not a file"),
    ):
        with pytest.raises(error, match=reason):
            table_format(tmp_path / name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingToolError, match=r"or install the extra: pip install 'captionq\[table\]'$"):
        table_format(tmp_path / "captions.parquet")


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["", "=", " +", "\t-", "\n@", "\uff1d"]))
def test_no_cell_is_a_formula_and_every_cell_can_be_read_back(text: str, beginning: str) -> None:
    """Only an apostrophe is added."""
    [[cell]] = csv.reader(io.StringIO(csv_line([beginning + text]), newline=""))
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert cell in (beginning + text, f"'{beginning}{text}")
