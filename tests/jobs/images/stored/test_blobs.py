"""Blobs on a disk: synced before they are named, and compared with their names when they are read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import DamagedBlobError, DataFolderError, ImageNotFoundError, ImageNotReachedError, ImageTooLargeError
from jobs.images.sources import image_source
from jobs.images.stored.blobs import blob_address, blob_path, find_blob, put_blob


def put(settings: Settings) -> str:
    sha256, _ = put_blob([b"picture"], settings, most=100, too_large=ImageTooLargeError)
    return sha256


def test_a_damaged_blob_is_never_read(settings: Settings) -> None:
    """Also after it was read as a whole one. When it is sent again, it is whole again."""
    sha256 = put(settings)
    address = blob_address(sha256)
    assert find_blob(address, settings).read_bytes() == b"picture"
    blob_path(sha256, settings).write_bytes(b"pXcture")
    with pytest.raises(DamagedBlobError):
        image_source(address, settings)
    blob_path(sha256, settings).write_bytes(b"pic")
    with pytest.raises(DamagedBlobError):
        find_blob(address, settings)
    assert put(settings) == sha256
    assert find_blob(address, settings).read_bytes() == b"picture"


def test_the_bytes_are_on_the_disk_before_the_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a blob is whole or missing."""
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    put(settings)
    assert steps == ["file", "rename", "folder", "folder"]


def test_a_blob_of_another_machine_is_not_reached(settings: Settings, tmp_path: Path) -> None:
    """Its job goes to a worker that has it. A shared folder gives it to all."""
    sha256 = put(settings)
    alone = Settings(data_dir=tmp_path / "other")
    alone.make_folders()
    with pytest.raises(ImageNotReachedError, match="CAPTIONQ_BLOB_URL"):
        image_source(blob_address(sha256), alone)
    with pytest.raises(ImageNotFoundError):
        find_blob(blob_address(sha256), alone)
    shared = Settings(data_dir=tmp_path / "other", blob_url=str(settings.blob_dir))
    shared.make_folders()
    assert find_blob(blob_address(sha256), shared).read_bytes() == b"picture"


def test_a_shared_folder_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    """Uploads would go to this machine's own disk."""
    settings = Settings(data_dir=tmp_path / "data", blob_url=str(tmp_path / "share" / "blobs"))
    with pytest.raises(DataFolderError, match="CAPTIONQ_BLOB_URL"):
        settings.make_folders()
    assert not (tmp_path / "share").exists()
