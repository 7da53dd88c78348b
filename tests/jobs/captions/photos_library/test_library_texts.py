"""The text files of a library's photos: outside of the library, and found again by the next run."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.captions.outputs.side_names import xmp_path
from jobs.captions.photos_library.library_texts import LibraryTexts, default_folder, text_name
from jobs.captions.text_places import TextPlace
from jobs.errors import OutputError, OutputForbiddenError
from jobs.images.photos_library.photo import Photo
from jobs.images.walking.folder_images import by_folder

UUID = "3F2504E0-4F89-11D3-9A0C-0305E82C3301"


def test_names_are_those_of_the_imported_files_and_never_shared() -> None:
    """A name that is too long is cut, and what no file's name may hold is replaced."""
    assert text_name(Photo(UUID, "IMG_1.HEIC", None)) == f"IMG_1.HEIC.{UUID}.txt"
    long = text_name(Photo(UUID, "ä" * 200, None))
    assert len(long.encode()) <= 255
    assert long.endswith(f"ä.{UUID}.txt")
    assert text_name(Photo(UUID, ".a/b\n.jpg", None)) == f"_a_b_.jpg.{UUID}.txt"


def test_a_text_is_found_again_in_any_form_of_its_name(tmp_path: Path) -> None:
    """A Mac's older disks keep accents in another form. A look makes no folder."""
    photos = {Path("/lib/1.heic"): Photo("A", "Café.heic", None), Path("/lib/2.heic"): Photo("B", "Café.heic", None)}
    folder = tmp_path / "new" / "texts"
    texts = LibraryTexts(folder, photos.__getitem__)
    assert [size for _, size in texts.of(by_folder(photos), look_only=True)] == [None, None]
    assert not folder.parent.exists()
    assert [place.output.name for place, _ in texts.of(by_folder(photos), look_only=False)] == [
        "Café.heic.A.txt",
        "Café.heic.B.txt",
    ]
    (folder / "Cafe\u0301.heic.A.txt").touch()
    first, second = texts.of(by_folder(photos), look_only=False)
    assert (first[1], second[1]) == (0, None)
    assert first[0] == TextPlace.at(Path("/lib/1.heic"), folder / "Café.heic.A.txt")


def test_nothing_lies_inside_of_a_library(tmp_path: Path) -> None:
    """Neither texts, also through a link, nor a sidecar beside an image that has one there."""
    library = tmp_path / "My.photoslibrary"
    originals = library / "originals"
    originals.mkdir(parents=True)
    (tmp_path / "link").symlink_to(originals)
    for folder in (library, originals / "texts", tmp_path / "link" / "texts"):
        with pytest.raises(OutputForbiddenError, match=r"inside of My\.photoslibrary"):
            LibraryTexts(folder, dict[Path, Photo]().__getitem__)
    assert default_folder(library) == tmp_path / "My captions"
    (originals / "1.heic.xmp").touch()
    text = tmp_path / "My captions" / "IMG_1.HEIC.A.txt"
    assert xmp_path(originals / "1.heic", text) == text.with_suffix(".xmp")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be made"):
        list(LibraryTexts(tmp_path / "file", dict[Path, Photo]().__getitem__).of([], look_only=False))
