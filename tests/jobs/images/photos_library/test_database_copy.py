"""The copy of a library's database: the library itself stays as it is, also while its program writes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from jobs.errors import ImageForbiddenError, ImageNotReachedError, InvalidRequestError
from jobs.images.photos_library import database_copy as module
from jobs.images.photos_library.database_copy import database_copy


def make_library(folder: Path) -> tuple[Path, sqlite3.Connection]:
    """Make a library with a database that is open, whose newest row is in the log only."""
    library = folder / "A.photoslibrary"
    (library / "database").mkdir(parents=True)
    connection = sqlite3.connect(library / "database/Photos.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE photo (name)")
    connection.execute("INSERT INTO photo VALUES ('IMG_1')")
    return library, connection


def test_a_library_that_photos_has_open_is_read_as_it_is(tmp_path: Path) -> None:
    """With the rows that are in the log only. No file of the library changes, and the copy is removed."""
    library, photos = make_library(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in library.rglob("*") if path.is_file()}
    with database_copy(library) as copy:
        reader = sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)
        assert reader.execute("SELECT name FROM photo").fetchall() == [("IMG_1",)]
        reader.close()
    assert not copy.exists()
    assert {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in library.rglob("*") if path.is_file()
    } == before
    photos.close()


def test_a_copy_that_a_change_has_torn_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log was written back into the database between the two files. If that never ends, the error says so."""
    library, photos = make_library(tmp_path)
    copies: list[int] = []

    def disturbed(there: Path, folder: Path, *, until: int = 2) -> Path:
        copy = real_copy(there, folder)
        copies.append(1)
        if len(copies) < until:
            photos.execute(f"INSERT INTO photo VALUES ('{len(copies)}')")
            photos.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return copy

    real_copy = module._copy
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    monkeypatch.setattr(module, "_copy", disturbed)
    with database_copy(library) as copy:
        reader = sqlite3.connect(copy)
        assert reader.execute("SELECT count(*) FROM photo").fetchone() == (2,)
        reader.close()
    assert len(copies) == 2
    monkeypatch.setattr(module, "_copy", lambda there, folder: disturbed(there, folder, until=100))
    with pytest.raises(ImageNotReachedError, match="all the time"), database_copy(library):
        pass
    photos.close()


def test_faults_have_a_sentence_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No library, and one that macOS keeps from the terminal."""
    with pytest.raises(InvalidRequestError, match="is no library of Photos"), database_copy(tmp_path):
        pass

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "_state", refuse)
    with pytest.raises(ImageForbiddenError, match="Full Disk Access"), database_copy(tmp_path):
        pass
