"""Reading and writing objects: with limits on reading, and with conditions on writing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobs.errors import MissingToolError, ObjectStoreError
from jobs.errors.install_commands import command_for_extra
from jobs.objects.paths import object_address

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import S3Store


@dataclass(frozen=True)
class Listed:
    """An object of a listing."""

    name: str
    size: int
    #: Seconds since the epoch.
    modified: float


class ObjectNotFoundError(Exception):
    """There is no such object in a bucket that is there."""


def size_of(path: Path) -> int:
    """Return the size of an object in bytes. Raises ObjectNotFoundError, ObjectStoreError, MissingToolError."""
    with _worded(path):
        return _store(path).head(_key(path))["size"]


def read_object(path: Path, most: int) -> bytes:
    """Read an object, of which at most `most` + 1 bytes are kept. Raises the errors of `size_of`."""
    with _worded(path):
        found, data = _store(path).get(_key(path)), bytearray()
        for piece in found.stream():
            data += piece
            if len(data) > most:
                break
        return bytes(data[: most + 1])


def create_object(path: Path, content: bytes) -> bool:
    """Write an object that is not there yet. False: there is one. Raises ObjectStoreError, MissingToolError."""
    from obstore.exceptions import AlreadyExistsError

    try:
        with _worded(path):
            _store(path).put(_key(path), content, mode="create")
    except AlreadyExistsError:
        return False
    return True


def replace_object(path: Path, content: bytes, old: bytes) -> bool:
    """Write an object in place of the old content. False: it has another content by now. Raises the errors of `size_of`."""
    from obstore.exceptions import PreconditionError

    try:
        with _worded(path):
            found = _store(path).get(_key(path))
            if bytes(found.bytes()) != old:
                return False
            # The store compares the tag once more: another writer may come between.
            tags = {name: tag for name in ("e_tag", "version") if (tag := found.meta.get(name))}
            version = cast("UpdateVersion", tags)
            _store(path).put(_key(path), content, mode=version, use_multipart=False)
    except PreconditionError:
        return False
    return True


def put_object(path: Path, content: Path) -> None:
    """Upload a file, in place of an object of the name. Raises ObjectStoreError, MissingToolError."""
    with _worded(path):
        _store(path).put(_key(path), content)


def fetch_object(path: Path, to: Path) -> None:
    """Download an object into a file. Raises the errors of `size_of`."""
    with _worded(path), to.open("wb") as file:
        for piece in _store(path).get(_key(path)).stream():
            file.write(piece)


def remove_object(path: Path) -> None:
    """Remove an object, if it is there. Raises ObjectStoreError, MissingToolError."""
    try:
        with _worded(path):
            _store(path).delete(_key(path))
    except ObjectNotFoundError:
        return


def list_folder(path: Path) -> tuple[list[Listed], list[str]]:
    """List the objects and the folders of a prefix, sorted by name: the store sends them in pages of a thousand.

    Objects whose keys no path holds are left out. Raises ObjectNotFoundError for a prefix without objects, ObjectStoreError,
    MissingToolError.
    """
    with _worded(path):
        found = _store(path).list_with_delimiter(_key(path) or None)
        if not found["objects"] and not found["common_prefixes"]:
            _check_bucket(path)
            raise ObjectNotFoundError
    objects = [
        Listed(name, one["size"], one["last_modified"].timestamp())
        for one in found["objects"]
        if (name := one["path"].rpartition("/")[2]) and one["path"] != _key(path)
    ]
    return sorted(objects, key=lambda one: one.name), sorted(
        prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]
    )


def is_single(path: Path) -> bool:
    """Check whether a path is an object itself, and no prefix. Raises ObjectStoreError, MissingToolError."""
    try:
        return bool(_key(path)) and size_of(path) >= 0
    except ObjectNotFoundError:
        return False


def _key(path: Path) -> str:
    return "/".join(path.parts[2:])


def _store(path: Path) -> S3Store:
    return _bucket(path.parts[1])


@cache
def _bucket(name: str) -> S3Store:
    if importlib.util.find_spec("obstore") is None:
        raise MissingToolError(f"Objects of s3:// need an extra: {command_for_extra('s3')}")
    from jobs.objects.access import open_bucket

    return open_bucket(name)


def _check_bucket(path: Path) -> None:
    """Raise an error of the library if the bucket is missing: a missing object alone does not tell."""
    next(iter(_store(path).list(chunk_size=1)), None)


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    """Turn the errors of the library into captionq's. Those of a lost condition pass."""
    _store(path)
    from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except (NotFoundError, FileNotFoundError) as error:
        try:
            _check_bucket(path)
        except (BaseError, OSError) as missing:
            raise _away(path, missing) from error
        raise ObjectNotFoundError from error
    except (BaseError, OSError) as error:
        raise _away(path, error) from error


def _away(path: Path, error: Exception) -> ObjectStoreError:
    """Return the error of a bucket. The library's own text has the addresses of requests, and says too much."""
    if "NoSuchBucket" in str(error):
        error = FileNotFoundError()
    reason = {
        "PermissionDeniedError": "access is denied",
        "UnauthenticatedError": "the credentials are not accepted",
        "NotFoundError": "the bucket does not exist",
        "FileNotFoundError": "the bucket does not exist",
    }.get(type(error).__name__, "the store does not answer as it should")
    failure = ObjectStoreError(f"The bucket {path.parts[1]} is not reached from this machine: {reason}.")
    failure.root = object_address(Path(*path.parts[:2]))
    return failure
