"""The contract with osxphotos, and what is said without it."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import InvalidRequestError, MissingToolError
from jobs.images.photos_library.osxphotos_source import OsxphotosSource, check_osxphotos

is_installed = importlib.util.find_spec("osxphotos") is not None
needs_osxphotos = pytest.mark.skipif(
    not is_installed, reason="osxphotos is not installed: pip install 'captionq[photos]'"
)
#: A real library, for developers who have one. It is only read.
REAL_LIBRARY = os.environ.get("CAPTIONQ_TEST_PHOTOS_LIBRARY")


@pytest.fixture
def _leftovers() -> Iterator[None]:
    """Let osxphotos leave its temporary folder to the garbage collector within the test that ignores it."""
    yield
    gc.collect()


ignores_leftovers = pytest.mark.filterwarnings(
    "ignore:Implicitly cleaning up", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.mark.skipif(is_installed, reason="osxphotos is installed")
def test_without_the_extra_a_sentence_names_it(tmp_path: Path) -> None:
    """Before the library is looked at."""
    with pytest.raises(MissingToolError, match=r"pip install 'captionq\[photos\]'"):
        OsxphotosSource(tmp_path)


@needs_osxphotos
def test_osxphotos_has_the_names_that_are_used() -> None:
    """Of its public interface. A change of these is a new version of the contract."""
    from osxphotos import PhotoInfo, PhotosDB
    from osxphotos.photos_datetime import photos_datetime
    from osxphotos.utils import get_last_library_path

    check_osxphotos()
    assert {"dbfile", "library_path"} <= inspect.signature(PhotosDB.__init__).parameters.keys()
    assert inspect.signature(PhotosDB.photos).parameters["intrash"].default is False
    assert inspect.signature(PhotosDB.photos).parameters["movies"].default is True
    assert not inspect.signature(get_last_library_path).parameters
    assert photos_datetime(None, default=True).timestamp() == 0
    assert [name for name in ("albums", "albums_shared", "get_photo") if not hasattr(PhotosDB, name)] == []
    names = (
        "uuid original_filename path path_edited date date_added date_modified title description keywords persons albums place "
        "location ismovie hidden visible shared shared_moment syndicated saved_to_library iscloudasset isreference"
    )
    assert [name for name in names.split() if not hasattr(PhotoInfo, name)] == []


@needs_osxphotos
@pytest.mark.usefixtures("_leftovers")
@ignores_leftovers
def test_a_database_that_osxphotos_does_not_know_is_named(tmp_path: Path) -> None:
    """Its many kinds of errors become one."""
    (tmp_path / "database").mkdir()
    (tmp_path / "database/Photos.sqlite").write_bytes(b"SQLite format 3\0")
    with pytest.raises(InvalidRequestError, match="does not understand"):
        OsxphotosSource(tmp_path)


@needs_osxphotos
@pytest.mark.usefixtures("_leftovers")
@ignores_leftovers
@pytest.mark.skipif(REAL_LIBRARY is None, reason="CAPTIONQ_TEST_PHOTOS_LIBRARY names no library")
def test_a_real_library_is_read_and_stays_as_it_is() -> None:
    """Each photo has an id and a name, and each file exists."""
    library = Path(REAL_LIBRARY or "")
    before = {path: path.stat().st_mtime_ns for path in library.rglob("*")}
    source = OsxphotosSource(library)
    photos = list(source.photos())
    assert photos
    assert all(photo.uuid and photo.name for photo in photos)
    assert all(photo.file is None or photo.file.is_file() for photo in photos)
    wanted = {"date", "place", "title", "keywords", "people"}
    assert all(("date" in source.metadata(photo.uuid, wanted)) == (photo.taken != 0) for photo in photos)
    assert {album for photo in photos for album in photo.albums} <= set(source.albums())
    assert {path: path.stat().st_mtime_ns for path in library.rglob("*")} == before
