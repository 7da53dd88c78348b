"""Text files beside images: written whole or not at all, and never over an unexpected file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from jobs.captions.text_files import LARGEST_TEXT, check_place, read_output, text_bytes, write_output
from jobs.errors import ForbiddenError, OutputError, OutputOccupiedError
from tests.support.scenes import draw


def write(path: Path, text: str, replaces: bytes | None = None) -> bool:
    """Write an answer as a worker does."""
    return write_output(path, text_bytes(text), replaces=replaces, writer="worker")


@pytest.fixture(params=["links", "no links"])
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test on a file system with hard links, and on one without, like SMB and exFAT, which also refuse to change modes."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    if request.param == "no links":
        monkeypatch.setattr("os.link", refuse)
        monkeypatch.setattr(Path, "chmod", refuse)


@pytest.mark.usefixtures("_file_system")
def test_a_new_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """The text has one line end and no NUL characters."""
    path = tmp_path / "photo.txt"
    assert write(path, "Ein Kreis\0 – schön.\n\n")
    assert path.read_text(encoding="utf-8") == "Ein Kreis\N{REPLACEMENT CHARACTER} – schön.\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("_file_system")
def test_a_file_that_came_into_being_meanwhile_stays(tmp_path: Path) -> None:
    """So do a file that was changed since it was read, and a link; if the file holds the same text, writing succeeds."""
    path, precious = tmp_path / "photo.txt", tmp_path / "precious"
    path.write_text("by hand\n")
    assert not write(path, "an answer")
    assert not write(path, "an answer", replaces=b"an older text\n")
    assert path.read_text() == "by hand\n"
    assert write(path, "by hand")
    precious.write_text("keep")
    path.unlink()
    path.symlink_to(precious)
    with pytest.raises(OutputOccupiedError):
        write(path, "an answer")
    assert precious.read_text() == "keep"
    assert sorted(tmp_path.iterdir()) == [path, precious]


@pytest.mark.usefixtures("_file_system")
def test_replacing_keeps_the_mode_where_it_can_be_set(tmp_path: Path) -> None:
    """A refusal to set the mode (SMB, exFAT) is no failure."""
    path = tmp_path / "photo.txt"
    path.write_bytes(b"an old and longer text")
    os.chmod(path, 0o640)  # noqa: PTH101  (Path.chmod may be out of order)
    before = stat.S_IMODE(path.stat().st_mode)
    assert write(path, "new", replaces=b"an old and longer text")
    assert path.read_text() == "new\n"
    if Path.chmod.__module__ == "pathlib":
        assert stat.S_IMODE(path.stat().st_mode) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_appears_at_the_last_moment_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file appears between the last check and the rename, which would overwrite it."""
    path = tmp_path / "photo.txt"
    fsync = os.fsync

    def fsync_and_intrude(descriptor: int) -> None:
        fsync(descriptor)
        path.write_text("by hand\n")

    monkeypatch.setattr("os.fsync", fsync_and_intrude)
    assert read_output(path) is None
    assert not write(path, "an answer")
    assert path.read_text() == "by hand\n"


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    """Folders, links, pipes, pictures, other binary files and huge files are named; texts of other programs are texts."""
    path = tmp_path / "photo.txt"
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "link.txt").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("png", "jpeg", "webp", "tiff", "bmp", "gif"):
        draw(1).image.save(tmp_path / f"{name}.txt", format=name)
    (tmp_path / "binary.txt").write_bytes(b"text\0text")
    (tmp_path / "huge.txt").write_bytes(b"a" * (LARGEST_TEXT + 1))
    for found in sorted(tmp_path.iterdir()):
        with pytest.raises(OutputOccupiedError, match=rf"^{found.name} is (a|not a) .*Move it away"):
            read_output(found)
    assert read_output(path) is None
    for content in (b"BMW", "a text".encode("utf-16"), b"", "grün".encode("latin-1")):
        path.write_bytes(content)
        assert read_output(path) == content


def test_nothing_is_written_outside_the_roots(tmp_path: Path) -> None:
    """Also when the folder has become a link to a folder outside since the job was made."""
    for name in ("root/real", "outside"):
        (tmp_path / name).mkdir(parents=True)
    roots = [tmp_path / "root"]
    check_place(tmp_path / "root" / "real" / "photo.txt", roots)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ForbiddenError):
        check_place(tmp_path / "root" / "link" / "photo.txt", roots)


def test_a_text_that_cannot_be_written_is_named_and_leaves_no_rest(tmp_path: Path) -> None:
    """Here the folder does not exist."""
    with pytest.raises(OutputError, match=r"^photo\.txt could not be written: No such file"):
        write(tmp_path / "gone" / "photo.txt", "text")
    assert list(tmp_path.iterdir()) == []
