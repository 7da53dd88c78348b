"""Reading and writing objects: with limits on reading, and with conditions on writing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jobs.errors import CaptionqError, MissingToolError, ObjectStoreError, first_line
from jobs.objects.paths import object_address

#: Seconds to connect, and between two parts of an answer.
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
#: The status of a conditional write that lost.
_LOST = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


@dataclass(frozen=True)
class Listed:
    """An object of a listing."""

    name: str
    size: int
    #: Seconds since the epoch.
    modified: float


class ObjectNotFoundError(Exception):
    """There is no such object in a bucket that is there."""


def is_installed() -> bool:
    """Check whether the extra is installed."""
    return importlib.util.find_spec("s3fs") is not None


def size_of(path: Path) -> int:
    """Return the size of an object in bytes. Raises ObjectNotFoundError, ObjectStoreError, MissingToolError."""
    with _worded(path):
        return int(_store().info(_key(path))["size"])


def read_object(path: Path, most: int) -> bytes:
    """Read an object, of which at most `most` + 1 bytes are fetched. Raises the errors of `size_of`."""
    with _worded(path):
        data: bytes = _store().cat_file(_key(path), start=0, end=most + 1)
        return data


def create_object(path: Path, content: bytes) -> bool:
    """Write an object that is not there yet. False: there is one. Raises ObjectStoreError, MissingToolError."""
    return _put(path, content, IfNoneMatch="*")


def replace_object(path: Path, content: bytes, old: bytes) -> bool:
    """Write an object in place of the old content. False: the object has another content by now. Raises ObjectStoreError."""
    with _worded(path):
        tag = _store().info(_key(path), refresh=True)["ETag"]
        if _store().cat_file(_key(path)) != old:
            return False
    # The store compares the tag once more: another writer may come between.
    return _put(path, content, IfMatch=tag)


def put_object(path: Path, content: Path) -> None:
    """Upload a file, in place of an object of the name. Raises ObjectStoreError, MissingToolError."""
    with _worded(path):
        _store().put_file(str(content), _key(path))


def fetch_object(path: Path, to: Path) -> None:
    """Download an object into a file. Raises the errors of `size_of`."""
    with _worded(path):
        _store().get_file(_key(path), str(to))


def remove_object(path: Path) -> None:
    """Remove an object, if it is there. Raises ObjectStoreError, MissingToolError."""
    try:
        with _worded(path):
            _store().rm_file(_key(path))
    except ObjectNotFoundError:
        return


def list_folder(path: Path) -> tuple[list[Listed], list[str]]:
    """List the objects and the folders of a prefix, sorted by name: the store sends them in pages of a thousand.

    Objects whose keys no path holds are left out. Raises ObjectNotFoundError for a prefix without objects, ObjectStoreError,
    MissingToolError.
    """
    objects: list[Listed] = []
    folders: list[str] = []
    with _worded(path):
        for entry in _store().ls(_key(path), detail=True, refresh=True):
            name = entry["name"].rpartition("/")[2]
            if entry["type"] == "directory":
                folders.append(name)
            elif name and name not in (".", "..") and entry["name"] != _key(path):
                changed = entry.get("LastModified")
                objects.append(Listed(name, int(entry["size"]), changed.timestamp() if changed else 0.0))
    return sorted(objects, key=lambda one: one.name), sorted(
        folder for folder in folders if folder not in ("", ".", "..")
    )


def is_single(path: Path) -> bool:
    """Check whether a path is an object itself, and no prefix. Raises ObjectStoreError, MissingToolError."""
    try:
        with _worded(path):
            return _store().info(_key(path))["type"] == "file"
    except ObjectNotFoundError:
        return False


def _put(path: Path, content: bytes, **condition: str) -> bool:
    try:
        with _worded(path):
            bucket, _, key = _key(path).partition("/")
            # Directly: fsspec's own writers take no condition.
            _store().call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
            _store().invalidate_cache(_key(path))
    except _ConditionLost:
        return False
    return True


def _key(path: Path) -> str:
    return "/".join(path.parts[1:])


@cache
def _store() -> Any:
    if not is_installed():
        raise MissingToolError("Objects of s3:// need the extra: pip install 'captionq[s3]'")
    import s3fs

    # Credentials, region and endpoint: from the environment and the files of AWS only (AWS_PROFILE, AWS_ENDPOINT_URL, …).
    timeouts = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    return s3fs.S3FileSystem(use_listings_cache=False, config_kwargs=timeouts)


class _ConditionLost(Exception):  # no fault
    pass


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    """Turn the errors of fsspec and of the protocol into captionq's. None of them names a key or a secret of the account."""
    try:
        yield
    except (CaptionqError, ObjectNotFoundError, _ConditionLost):
        raise
    except FileNotFoundError as error:
        if "bucket" in str(error).lower():
            raise _away(path, error) from None
        raise ObjectNotFoundError from None
    except FileExistsError:
        raise _ConditionLost from None
    except Exception as error:
        # botocore makes its classes of errors as it goes, and aiohttp has its own.
        if any(mark in str(error) for mark in _LOST):
            raise _ConditionLost from None
        raise _away(path, error) from error


def _away(path: Path, error: Exception) -> ObjectStoreError:
    bucket = path.parts[1] if len(path.parts) > 1 else ""
    failure = ObjectStoreError(f"The bucket {bucket} is not reached from this machine: {first_line(error)}.")
    failure.root = object_address(Path(*path.parts[:2]))
    return failure
