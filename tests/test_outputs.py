"""Text files beside images."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.errors import ForbiddenError, OutputError
from jobs.outputs import write_sidecar


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
