"""Checks of unpacked zips, for several tests of zips."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError
from jobs.images.stored.zip_upload import UnpackedImage, unpack_images


def files_below(folder: Path) -> list[Path]:
    """List all files below a folder, with any name."""
    return [path for path in folder.rglob("*") if path.is_file()]


def labels_of(unpacked: list[UnpackedImage]) -> list[str]:
    """Return the labels of images."""
    return [one.name for one in unpacked]


def refused(archive: io.BytesIO, settings: Settings, error: type[CaptionqError], match: str | None = None) -> None:
    """Check that unpacking raises this error before anything is stored."""
    with pytest.raises(error, match=match) as raised:
        unpack_images(archive, settings)
    assert type(raised.value) is error
    assert "\n" not in raised.value.message
    assert not files_below(settings.blob_dir)


def limited(settings: Settings, **limits: int) -> Settings:
    """Return the settings with other limits."""
    return settings.model_copy(update=limits)
