"""Files beside images, made later from the store."""

from __future__ import annotations

from pathlib import Path

from jobs.captions.outputs.late_outputs import write_late
from jobs.captions.outputs.xmp_packet import description_of
from jobs.captions.undo import undo_run
from jobs.images.xmp import parse_xmp
from jobs.options.outputs import FileKind
from jobs.store.queries.run_pictures import PictureChoice, chosen_jobs
from jobs.store.store import Store
from tests.support.outputs import captioned, contents, make_run, save_picture


def test_files_are_made_later_and_taken_back_with_their_run(store: Store, tmp_path: Path) -> None:
    """A text that was changed stays, one that is missing comes back, a foreign JSON file is named; twice is as once."""
    batch = make_run(store)
    for name in ("a", "b", "c"):
        captioned(store, save_picture(tmp_path / f"{name}.jpg"), batch, "sea, boat")
    images = {name: content for name, content in contents(tmp_path).items() if name.endswith(".jpg")}
    (tmp_path / "a.txt").write_text("by hand\n")
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c.json").write_text("{}")
    for _ in range(2):
        written = write_late(
            chosen_jobs(store.engine, batch.id, PictureChoice()), ("txt", "json", "xmp"), store, keywords=False
        )
        assert written.images == 2
        assert [path.name for path in written.left] == ["c.jpg"]
    assert (tmp_path / "a.txt").read_text() == "by hand\n"
    assert (tmp_path / "b.txt").read_text() == "sea, boat\n"
    assert (tmp_path / "c.json").read_text() == "{}"
    assert description_of((tmp_path / "b.xmp").read_bytes()) == "sea, boat"
    sidecars: tuple[FileKind, ...] = ("xmp",)
    write_late(chosen_jobs(store.engine, batch.id, PictureChoice()), sidecars, store, keywords=True)
    assert parse_xmp((tmp_path / "c.xmp").read_bytes())["keywords"] == "sea, boat"
    assert [path.name for path in undo_run(batch.id, store).left] == ["a.txt"]
    assert contents(tmp_path) == {**images, "a.txt": b"by hand\n", "c.json": b"{}"}
