"""Blobs in S3, where every machine finds them: `CAPTIONQ_BLOB_URL=s3://bucket/prefix`. The data folder has copies."""

from __future__ import annotations

from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.objects.paths import is_object_address, object_path
from jobs.objects.store import ObjectNotFoundError, fetch_object, put_object, remove_object


def upload(sha256: str, path: Path, settings: Settings) -> None:
    """Copy a blob into the store, if there is one. Raises ObjectStoreError, MissingToolError."""
    if (place := _place(sha256, settings)) is not None:
        put_object(place, path)


def download(sha256: str, to: Path, settings: Settings) -> bool:
    """Copy a blob from the store into a file. False: there is no store, or it has no such blob. Raises ObjectStoreError."""
    if (place := _place(sha256, settings)) is None:
        return False
    try:
        fetch_object(place, to)
    except ObjectNotFoundError:
        return False
    return True


def remove(sha256: str, settings: Settings) -> None:
    """Remove a blob from the store, if there is one. Raises ObjectStoreError, MissingToolError."""
    if (place := _place(sha256, settings)) is not None:
        remove_object(place)


def _place(sha256: str, settings: Settings) -> Path | None:
    if settings.blob_url is None or not is_object_address(settings.blob_url):
        return None
    return object_path(settings.blob_url) / sha256[:2] / sha256[2:]
