"""Folders that texts cannot be written into: found out by a probe that leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from jobs.captions.temporary_files import sweep_stale
from jobs.captions.text_files import write_output
from jobs.captions.writable_folders import WritableFolders
from jobs.errors import OutputError, OutputForbiddenError
from tests.support.other_user import read_only_folder, run_without_rights

IMPORTS = """
from pathlib import Path
from jobs.captions.text_files import write_output
from jobs.captions.writable_folders import WritableFolders
from jobs.errors import OutputForbiddenError
"""
PROBE = """
folder = Path(sys.argv[1])
print(WritableFolders().refusal(folder))
try:
    write_output(folder / "a.txt", b"text", replaces=None, writer="worker")
except OutputForbiddenError as error:
    print(error)
"""


def test_a_folder_without_write_permission_is_refused() -> None:
    """The sentence names the folder and the reason, and so does a text that is written all the same."""
    with read_only_folder() as folder:
        said = run_without_rights(IMPORTS, PROBE, str(folder)).splitlines()
        assert list(folder.iterdir()) == []
    assert said == [
        "No text can be written into the folder 'pictures': Permission denied. Make the folder writable, then try again.",
        "a.txt could not be written: Permission denied.",
    ]


def test_a_writable_folder_is_as_it_was(tmp_path: Path) -> None:
    """The probe leaves no file, and asks once for a folder."""
    folders = WritableFolders()
    assert folders.refusal(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    tmp_path.rmdir()
    assert folders.refusal(tmp_path) is None


@pytest.mark.parametrize(
    ("number", "is_final"),
    [
        (errno.EACCES, True),
        (errno.EPERM, True),
        (errno.EROFS, True),
        (errno.ENOSPC, False),
        (errno.EIO, False),
        (errno.ENOENT, False),
    ],
)
def test_faults_that_may_pass_refuse_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_final: bool
) -> None:
    """A full disk may have room when the text is there; a read-only disk stays as it is."""

    def fails(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fails)
        assert (WritableFolders().refusal(tmp_path) is not None) == is_final
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError) as raised:
        write_output(tmp_path / "a.txt", b"text", replaces=None, writer="worker")
    assert isinstance(raised.value, OutputForbiddenError) == is_final
    assert raised.value.transient != is_final
    assert list(tmp_path.iterdir()) == []


def test_a_probe_that_was_killed_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file has the name of a temporary file of captionq."""
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda _: None)
        WritableFolders().refusal(tmp_path)
    [left] = tmp_path.iterdir()
    os.utime(left, (0, 0))
    assert sweep_stale(tmp_path, [left.name]) == 1


def test_a_photos_library_is_refused_and_a_folder_that_will_be_made_is_not(tmp_path: Path) -> None:
    """Also through a link into the library. A look at a folder that is not there yet asks the one in which it will be made."""
    originals = tmp_path / "My.PhotosLibrary" / "originals" / "A"
    originals.mkdir(parents=True)
    (tmp_path / "link").symlink_to(originals.parent)
    for folder in (originals, tmp_path / "link" / "A"):
        for look_only in (True, False):
            refusal = WritableFolders(look_only=look_only).refusal(folder)
            assert refusal is not None
            assert "belongs to a Photos library" in refusal.message
    assert list(originals.iterdir()) == []
    assert WritableFolders(look_only=True).refusal(tmp_path / "new" / "texts") is None
