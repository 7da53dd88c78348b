"""Undo: a folder is byte by byte as before the run, and nothing that others changed since is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.captions import undo
from jobs.captions.text_files import write_output
from jobs.captions.undo import undo_run
from jobs.creation.review import save_edit, text_to_edit
from jobs.errors import ConflictError, NotFoundError
from jobs.store.store import Store
from jobs.store.written.written_files import WrittenFiles
from tests.support.kills import Killed, dying_at
from tests.support.outputs import captioned, claim_job, contents, make_run, save_picture, write_files

ALL = ("txt", "json", "xmp")


def test_undo_brings_the_folder_back(store: Store, tmp_path: Path) -> None:
    """New files go, a replaced text comes back, and a second undo does nothing. Runs are undone one after the other."""
    image = save_picture(tmp_path / "photo.jpg")
    (tmp_path / "photo.txt").write_bytes(b"gr\xfcn, by hand\r\n")
    before = contents(tmp_path)
    first = make_run(store)
    captioned(store, image, first, output=ALL)
    between = contents(tmp_path)
    second = make_run(store)
    captioned(store, image, second, "Another answer.", output=ALL)
    make_run(store)
    files = WrittenFiles(store.engine)
    assert files.newest_run() == second.id
    assert undo_run(second.id, store).restored == 3
    assert contents(tmp_path) == between
    assert files.newest_run() == first.id
    undone = undo_run(first.id, store)
    assert (undone.removed, undone.restored, undone.left, undone.failed) == (2, 1, {}, {})
    assert contents(tmp_path) == before
    assert files.newest_run() is None
    assert undo_run(first.id, store).restored == 0
    assert contents(tmp_path) == before


def test_a_file_that_a_run_and_an_edit_changed_counts_once(store: Store, tmp_path: Path) -> None:
    """By what it is in the end: here each was made, then changed, and is gone."""
    image, batch = save_picture(tmp_path / "photo.jpg"), make_run(store)
    before = contents(tmp_path)
    job = store.job(captioned(store, image, batch, output=("json", "xmp")).id)
    save_edit(job, text_to_edit(job), "A ship.", store)
    undone = undo_run(batch.id, store)
    assert (undone.removed, undone.restored, undone.left, undone.failed) == (2, 0, {}, {})
    assert contents(tmp_path) == before


def test_files_that_were_changed_since_stay(store: Store, tmp_path: Path) -> None:
    """Each is named. So does a file of an earlier run, whose text a later run replaced."""
    batch = make_run(store)
    for name in ("a", "b", "c"):
        captioned(store, save_picture(tmp_path / f"{name}.jpg"), batch, output=("txt", "json"))
    (tmp_path / "a.txt").write_text("mended by hand\n")
    captioned(store, tmp_path / "b.jpg", make_run(store), "Another answer.")
    (tmp_path / "c.txt").unlink()
    undone = undo_run(batch.id, store)
    assert {path.name for path in undone.left} == {"a.txt", "b.txt"}
    assert undone.removed == 3
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["a.txt", "b.txt"]
    assert (tmp_path / "a.txt").read_text() == "mended by hand\n"
    assert undo_run(batch.id, store).left == {}


def test_a_run_that_goes_on_is_not_undone(store: Store, tmp_path: Path) -> None:
    """Nor an unknown run."""
    batch = make_run(store)
    job = claim_job(store, save_picture(tmp_path / "photo.jpg"), batch)
    write_files(store, job)
    with pytest.raises(ConflictError, match="has not ended"):
        undo_run(batch.id, store)
    with pytest.raises(NotFoundError):
        undo_run("batch_0", store)
    assert (tmp_path / "photo.txt").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_tried_again(store: Store, tmp_path: Path) -> None:
    """The reason names the file; once the folder is writable, the next undo takes it back."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    batch = make_run(store)
    captioned(store, save_picture(folder / "photo.jpg"), batch)
    folder.chmod(0o500)
    try:
        assert [path.name for path in undo_run(batch.id, store).failed] == ["photo.txt"]
    finally:
        folder.chmod(0o700)
    assert undo_run(batch.id, store).removed == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", [1, 2, 3])
def test_a_kill_at_any_write_can_be_undone(store: Store, tmp_path: Path, point: int, after: bool) -> None:
    """The worker dies at a file, and the undo dies at a file; in the end the folder is as before."""
    image, batch = save_picture(tmp_path / "photo.jpg"), make_run(store)
    (tmp_path / "photo.txt").write_text("by hand\n")
    before = contents(tmp_path)
    job = claim_job(store, image, batch, output=ALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.captions.outputs.recorded_write.write_output", dying_at(point, write_output, after=after))
        with pytest.raises(Killed):
            write_files(store, job)
    store.recover("worker")
    job = store.claim([job.id], "worker")[job.id]
    write_files(store, job, "Another answer.")
    store.cancel([job.id])
    for name in ("remove_output", "write_output"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(undo, name, dying_at(1, getattr(undo, name), after=after))
            with pytest.raises(Killed):
                undo_run(batch.id, store)
    undone = undo_run(batch.id, store)
    assert not undone.left
    assert contents(tmp_path) == before
