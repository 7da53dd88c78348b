"""Text files beside images."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.errors import ForbiddenError, OutputError
from jobs.outputs import Sidecars, write_sidecar


def test_the_text_stands_beside_the_image(tmp_path: Path) -> None:
    """photo.jpg gets photo.txt; only the last ending is replaced."""
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "a.b.png").touch()
    assert Sidecars().path_for(tmp_path / "photo.jpg") == tmp_path / "photo.txt"
    assert Sidecars().path_for(tmp_path / "a.b.png") == tmp_path / "a.b.txt"


def test_two_images_of_one_stem_do_not_share_a_text(tmp_path: Path) -> None:
    """Phones export IMG_1.HEIC beside IMG_1.JPG: one text would overwrite the other."""
    for name in ("IMG_1.HEIC", "img_1.jpg", "IMG_2.HEIC", "IMG_2.txt"):
        (tmp_path / name).touch()
    sidecars = Sidecars()
    found = [sidecars.path_for(tmp_path / name).name for name in ("IMG_1.HEIC", "img_1.jpg", "IMG_2.HEIC")]
    assert found == ["IMG_1.HEIC.txt", "img_1.jpg.txt", "IMG_2.txt"]


def test_writing_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """With a line end, and with the mode that the old file had."""
    path = tmp_path / "photo.txt"
    path.write_text("an old and longer text")
    path.chmod(0o640)
    write_sidecar(path, "Ein Kreis – schön.\n")
    assert path.read_text(encoding="utf-8") == "Ein Kreis – schön.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Nothing outside the folder is written."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "photo.txt").symlink_to(precious)
    write_sidecar(tmp_path / "photo.txt", "text")
    assert precious.read_text() == "keep"
    assert (tmp_path / "photo.txt").read_text() == "text\n"


def test_nothing_is_written_outside_the_roots(tmp_path: Path) -> None:
    """Also when the folder has become a link to one outside since the job was made."""
    for name in ("root/real", "outside"):
        (tmp_path / name).mkdir(parents=True)
    roots = [tmp_path / "root"]
    write_sidecar(tmp_path / "root" / "real" / "photo.txt", "text", roots)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ForbiddenError):
        write_sidecar(tmp_path / "root" / "link" / "photo.txt", "text", roots)
    assert not list((tmp_path / "outside").iterdir())


def test_a_text_that_cannot_be_written_is_named_and_leaves_no_rest(tmp_path: Path) -> None:
    """A folder stands where the file should."""
    (tmp_path / "photo.txt").mkdir()
    with pytest.raises(OutputError, match=r"^photo\.txt could not be written"):
        write_sidecar(tmp_path / "photo.txt", "text")
    assert list(tmp_path.iterdir()) == [tmp_path / "photo.txt"]
