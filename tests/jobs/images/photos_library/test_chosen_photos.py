"""The photos of a library that a run takes, and the count of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import InvalidRequestError
from jobs.images.photos_library.chosen_photos import ChosenPhotos
from jobs.images.photos_library.photo import Photo
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.left_out import LeftOut, LeftOutPhotos
from jobs.options.selection import SelectionOptions
from tests.support.photo_libraries import ListedPhotos

LATE = Photo("1", "IMG_1.HEIC", Path("/lib/originals/1.heic"), taken=20, changed=20, albums=("Café", "Zoo"))
EARLY = Photo("2", "IMG_1.HEIC", Path("/lib/renders/2.jpeg"), taken=10, changed=2e9, albums=("Zoo",))


def chosen(photos: list[Photo], left_out: LeftOut, *albums: str, **options: object) -> list[Path]:
    only = FileFilter.of(SelectionOptions.model_validate(options))
    return list(ChosenPhotos(ListedPhotos(photos), albums=albums, only=only).files(left_out))


def test_only_pictures_that_photos_shows_and_that_are_here_are_taken() -> None:
    """In the order in which they were taken; the others are counted by their reasons, and one file comes once."""
    others = [
        replace(LATE, uuid="3", is_movie=True, file=None),
        replace(LATE, uuid="4", is_hidden=True),
        replace(LATE, uuid="5", is_hidden=True, is_of_others=True),
        replace(LATE, uuid="6", name="cloud.heic", file=None, is_in_cloud=True),
        replace(LATE, uuid="7", name="stick.jpg", file=None, is_referenced=True),
        replace(LATE, uuid="7b", name="lost.jpg", file=None),
        replace(LATE, uuid="8", name="notes.psd", file=Path("/lib/originals/8.psd")),
        replace(LATE, uuid="9"),
    ]
    left_out = LeftOut()
    assert chosen([LATE, *others, EARLY], left_out) == [EARLY.file, LATE.file]
    assert left_out.photos == LeftOutPhotos(
        movies=1, hidden=1, of_others=1, in_cloud=["cloud.heic"], elsewhere=["stick.jpg"], lost=["lost.jpg"]
    )
    assert left_out.others == {".psd": 1}


def test_albums_names_and_ages_choose_photos() -> None:
    """Photos outside of the albums are not counted. Patterns are about the names of imported files."""
    elsewhere, renamed = (
        replace(LATE, uuid="3", albums=()),
        replace(LATE, uuid="4", name="scan.tif", file=Path("/lib/4.tif")),
    )
    photos, left_out = [LATE, EARLY, elsewhere, renamed], LeftOut()
    assert chosen(photos, left_out, "cafe\u0301", include=("*.heic",)) == [LATE.file]
    assert (left_out.excluded, left_out.older) == (1, 0)
    assert chosen(photos, left_out, "Café", "ZOO", newer_than="2030-01-01") == [EARLY.file]
    assert left_out.older == 2
    with pytest.raises(InvalidRequestError, match=r"no album 'Zo'\. Did you mean 'Zoo'\?"):
        chosen(photos, left_out, "Zo")
