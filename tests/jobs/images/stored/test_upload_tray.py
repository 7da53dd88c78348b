"""Trays: uploads that arrive a file a request, are checked at once, and wait for their run."""

from __future__ import annotations

import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.errors import ArchiveError, ImageTooLargeError, UnsupportedImageError, UploadTooLargeError
from jobs.images.stored.upload_tray import TRAY_KEPT, Totals, UploadTray, remove_old_trays

ID = "0" * 32


def png(shade: int = 0) -> bytes:
    """Return a small picture."""
    written = io.BytesIO()
    Image.new("L", (8, 8), shade).save(written, "PNG")
    return written.getvalue()


def zip_of(*names: str) -> bytes:
    """Return a zip with a picture of each name."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, png(number))
    return written.getvalue()


def put(tray: UploadTray, number: int, name: str, content: bytes, *, again: bool = False) -> int:
    """Send one file into the tray."""
    with tray.receiving(name) as arriving:
        arriving.write(content)
        return tray.add(number, arriving, again=again)


def test_pictures_and_zips_come_out_by_their_names_each_name_once(settings: Settings) -> None:
    """Folders in names stay, ways out of them do not; another owner finds nothing; a discarded tray is empty."""
    tray = UploadTray("me", ID, settings)
    assert put(tray, 1, "trip/b.png", png(1)) == 1
    assert put(tray, 2, "../trip/a.png", png(2)) == 1
    assert put(tray, 3, "all.zip", zip_of("trip/a.png", "trip/c.jpg", "notes.txt")) == 2
    assert [one.name for one in tray.pictures()] == ["trip/a.png", "trip/a (2).png", "trip/b.png", "trip/c.jpg"]
    assert tray.totals.pictures == 4
    assert UploadTray("other", ID, settings).pictures() == []
    tray.discard()
    assert (tray.pictures(), tray.totals) == ([], Totals())
    assert put(tray, 4, "d.png", png()) == 1


def test_a_file_that_is_sent_again_counts_once(settings: Settings) -> None:
    """The answer to the first time was lost; a line that a killed process left unfinished does not matter."""
    tray = UploadTray("me", ID, settings)
    put(tray, 1, "a.png", png(1))
    (file,) = (settings.data_dir / "trays").glob("*/list")
    with file.open("a") as lines:
        lines.write('[2, [{"name": "cut o')
    assert put(tray, 1, "a.png", png(1), again=True) == 1
    assert put(tray, 2, "b.png", png(2), again=True) == 1
    assert [one.name for one in tray.pictures()] == ["a.png", "b.png"]
    assert tray.totals.pictures == 2


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("notes.txt", png(), UnsupportedImageError, "notes.txt is no picture that captionq reads"),
        (".hidden.png", png(), UnsupportedImageError, "hidden.png is no picture"),
        ("fake.jpg", b"text", UnsupportedImageError, "fake.jpg is not a supported image"),
        ("broken.zip", b"PK\x03\x04" + b"x" * 200, ArchiveError, "not a zip, or is damaged"),
        ("large.png", png() + b"x" * 2000, ImageTooLargeError, "CAPTIONQ_MAX_IMAGE_BYTES"),
        ("many.zip", zip_of("1.png", "2.png", "3.png", "4.png"), UploadTooLargeError, "CAPTIONQ_MAX_UPLOAD_FILES"),
        ("large.zip", zip_of("1.png") + b"x" * 4000, UploadTooLargeError, "CAPTIONQ_MAX_UPLOAD_BYTES"),
    ],
)
def test_a_refused_file_leaves_the_tray_as_it_was(
    settings: Settings, name: str, content: bytes, error: type[Exception], words: str
) -> None:
    """The sentence names the file, or the setting of the limit."""
    limits = {"max_image_bytes": 1000, "max_upload_bytes": 3000, "max_upload_files": 3}
    tray = UploadTray("me", ID, settings.model_copy(update=limits))
    put(tray, 0, "a.png", png())
    with pytest.raises(error, match=words):
        put(tray, 1, name, content)
    assert [one.name for one in tray.pictures()] == ["a.png"]
    assert list((settings.data_dir / "trays").glob("*/new-*")) == []


def test_files_together_are_held_to_the_limits_of_one_upload(settings: Settings) -> None:
    """Also when they arrive at the same moment: their number and their bytes are those of all."""
    tray = UploadTray("me", ID, settings.model_copy(update={"max_upload_files": 20}))

    def is_taken(number: int) -> bool:
        try:
            return put(tray, number, f"{number}.png", png(number)) == 1
        except UploadTooLargeError:
            return False

    with ThreadPoolExecutor(8) as threads:
        taken = sum(threads.map(is_taken, range(40)))
    assert (taken, tray.totals.pictures, len(tray.pictures())) == (20, 20, 20)
    small = UploadTray("me", "1" * 32, settings.model_copy(update={"max_upload_bytes": len(png()) + 1}))
    put(small, 1, "a.png", png())
    with pytest.raises(UploadTooLargeError, match="CAPTIONQ_MAX_UPLOAD_BYTES"):
        put(small, 2, "b.png", png())


def test_a_tray_that_no_run_took_is_removed_after_a_day(settings: Settings, tmp_path: Path) -> None:
    """Trays into which something came since then stay."""
    old, young = UploadTray("me", ID, settings), UploadTray("me", "1" * 32, settings)
    put(old, 1, "a.png", png())
    (folder,) = (settings.data_dir / "trays").iterdir()
    put(young, 1, "b.png", png())
    now = folder.stat().st_mtime + 10
    os.utime(folder, (now - TRAY_KEPT - 1,) * 2)
    remove_old_trays(settings, now=now)
    assert (old.pictures(), len(young.pictures())) == ([], 1)
