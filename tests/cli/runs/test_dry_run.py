"""`captionq caption --dry-run`: the truth about a run, found out without a write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.output.dry_run_report import print_plan
from cli.output.report import make_report
from jobs.captions.temporary_files import temporary_name
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import AlreadyAdded, PendingImage
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind
from jobs.store.written.output_writers import TakenUp
from tests.support.command_output import output
from tests.support.outputs import captioned, make_run, save_picture
from tests.support.rows import RESULT, make_job


def tree(*folders: Path) -> dict[Path, tuple[int, bytes | None]]:
    """Return every file and folder below these, with its time of change and its content."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in found}


@pytest.mark.no_tables
def test_a_dry_run_on_a_new_machine_touches_no_file(run: CliRunner, settings: Settings, tmp_path: Path) -> None:
    """Neither a data folder's database nor a probe file is made, and left-over temporary files stay."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.png"):
        (folder / name).touch()
    (folder / "c.txt").write_text("by hand\n")
    stale = folder / temporary_name("dead")
    stale.touch()
    os.utime(stale, (0, 0))
    before = tree(folder, settings.data_dir)
    said = output(run.invoke(captionq, ["caption", str(folder), "--dry-run", "--model", "demo"]))
    assert tree(folder, settings.data_dir) == before
    assert said.splitlines() == [
        "3 images: 2 to caption, 1 to skip, 0 that will fail",
        "Skipped: 1 image with a text (--existing replace asks again)",
        "Model: demo (on this machine)",
        "Dry run: nothing was written, queued or started.",
    ]


def test_an_image_is_skipped_for_what_the_run_would_write(run: CliRunner, store: Store, tmp_path: Path) -> None:
    """Files other than a text are not called a text."""
    captioned(store, save_picture(tmp_path / "photo.jpg"), make_run(store), output=("xmp",))
    command = ["caption", str(tmp_path), "--dry-run", "--model", "demo", "--output", "xmp"]
    said = output(run.invoke(captionq, command))
    assert said.splitlines()[1] == "Skipped: 1 image with these files (--existing replace asks again)"
    row = json.loads(run.invoke(captionq, [*command, "--format", "json"]).stdout)
    assert (row["action"], row["reason"]) == ("skip", "has these files already")


def test_a_text_that_has_the_addition_is_not_offered_a_replacement(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary of the run says the same."""
    added = AlreadyAdded(PendingImage.at(Path("/pictures/a.jpg"), Path("/pictures/a.txt")).place)
    for as_json in (False, True):
        print_plan([], [added], TakenUp(), model="demo", missing=0, report=make_report(as_json=as_json))
    said = capsys.readouterr().out
    assert "\nSkipped: 1 image with this addition (to add another, ask another question)\n" in said
    assert "has this addition already" in said
    assert "replace" not in said


def test_each_image_has_its_fate_and_its_reason(run: CliRunner, store: Store, tmp_path: Path) -> None:
    """As objects for programs: captioned, skipped, refused because of its text file, or queued by another request."""
    for name in ("new.jpg", "own.jpg", "hand.jpg", "folder.jpg", "busy.jpg"):
        (tmp_path / name).touch()
    posted = Batch(description="", model="demo", kind=BatchKind.FOLDER)
    own, busy = make_job("own"), make_job("busy", posted)
    own.output, busy.output = (tmp_path / "own.txt").as_uri(), (tmp_path / "busy.txt").as_uri()
    store.add_batch(posted)
    store.add([own, busy])
    store.claim([own.id], "worker")
    store.succeed(own.id, RESULT)
    (tmp_path / "own.txt").write_text(f"{RESULT.text}\n")
    (tmp_path / "hand.txt").write_text("by hand\n")
    (tmp_path / "folder.txt").mkdir()
    before = store.counts()
    result = run.invoke(
        captionq,
        ["caption", str(tmp_path), "--dry-run", "--model", "demo", "--existing", "replace", "--format", "json"],
    )
    assert result.exit_code == 0
    fates = {Path(row["image"]).stem: row for row in map(json.loads, result.stdout.splitlines())}
    assert {name: row["action"] for name, row in fates.items()} == {
        "new": "caption",
        "own": "caption",
        "hand": "skip",
        "folder": "fail",
        "busy": "leave",
    }
    assert fates["hand"]["reason"] == "its text was written by hand"
    assert "is a folder" in fates["folder"]["reason"]
    assert f"POST /v1/folders ({busy.batch_id})" in fates["busy"]["reason"]
    assert "5 images: 2 to caption, 1 to skip, 1 that will fail" in result.stderr
    assert store.counts() == before


def test_a_dry_run_without_a_usable_image_fails(run: CliRunner, tmp_path: Path) -> None:
    """No image, or none whose text can be written."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    nothing = run.invoke(captionq, ["caption", str(folder), "--dry-run", "--model", "demo"])
    assert (nothing.exit_code, "No images in" in nothing.stdout) == (1, True)
    (folder / "a.jpg").touch()
    (folder / "a.txt").mkdir()
    refused = run.invoke(captionq, ["caption", str(folder), "--dry-run", "--model", "demo"])
    assert refused.exit_code == 1
    assert "a.jpg: a.txt is a folder" in refused.stdout
