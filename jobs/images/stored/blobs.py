"""Blobs: bytes that came with a request, stored by their content, so that a picture sent twice is stored once.

A blob is the file `blobs/ab/cdef…`, named by the SHA-256 of its bytes, and is whole or missing: its bytes and its name are on the
disk before a row refers to it, and they are compared with the name when they are read. A request refers to a blob as
`blob:<sha256>`, an address that only this module makes, and that requests from outside may not use.

With `CAPTIONQ_BLOB_URL` the folder is one that several machines share, or the files are copies of objects in S3.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from jobs.configuration.settings import Settings
from jobs.disk.durable_files import sync_folder
from jobs.errors import CaptionqError, DamagedBlobError, ImageError, ImageNotFoundError, ImageTooLargeError
from jobs.faults import FaultPoint, point
from jobs.images.stored import shared_blobs

logger = logging.getLogger("captionq.blobs")

SCHEME = "blob:"
#: Bytes of an upload that are read at a time.
PIECE = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")
_NEW = "new-"
#: Checked files that are remembered, so that a file of a batch is not read twice for each of its windows.
_MOST_DIGESTS = 1000


def blob_address(sha256: str) -> str:
    """Return the address by which a request refers to a blob."""
    return f"{SCHEME}{sha256}"


def blob_path(sha256: str, settings: Settings) -> Path:
    """Return the path of a blob, whether it exists or not."""
    return settings.blob_dir / sha256[:2] / sha256[2:]


def put_blob(
    pieces: Iterable[bytes], settings: Settings, *, most: int, too_large: type[CaptionqError]
) -> tuple[str, int]:
    """Store bytes as a blob; return their SHA-256 and their number. Raises `too_large` beyond `most` bytes."""
    digest, size = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(prefix=_NEW, dir=settings.blob_dir)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > most:
                    raise too_large(f"The file is larger than the {most / 1e6:.0f} MB that are allowed.")
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        point(FaultPoint.BLOB)
        path = blob_path(digest.hexdigest(), settings)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(path.parent, fcntl.LOCK_SH):
            # Also when the blob exists already: its time says when it was last used.
            new.replace(path)
            sync_folder(path.parent)
            sync_folder(settings.blob_dir)
        point(FaultPoint.BLOB_STORED)
        shared_blobs.upload(digest.hexdigest(), path, settings)
    finally:
        new.unlink(missing_ok=True)
    return digest.hexdigest(), size


def put_image_file(file: IO[bytes], settings: Settings) -> tuple[str, int]:
    """Store an image that a client sent; return its SHA-256 and its size in bytes. Raises ImageTooLargeError."""
    pieces = iter(partial(file.read, PIECE), b"")
    return put_blob(pieces, settings, most=settings.max_image_bytes, too_large=ImageTooLargeError)


def find_blob(address: str, settings: Settings) -> Path:
    """Find the file of a `blob:` address, and check that its bytes are those that were put.

    Raises ImageError, ImageNotFoundError, DamagedBlobError, ObjectStoreError, MissingToolError.
    """
    sha256 = address.removeprefix(SCHEME)
    if not _NAME.fullmatch(sha256):
        raise ImageError("The reference to the uploaded image is not valid.")
    path = blob_path(sha256, settings)
    if not _is_whole(path, sha256):
        if path.exists():
            logger.error("%s is damaged: its bytes are not those that were stored.", path)
        _fetch(sha256, path, settings)
    return path


def _fetch(sha256: str, path: Path, settings: Settings) -> None:
    """Fetch a blob that is missing or damaged here from the store that machines share."""
    descriptor, name = tempfile.mkstemp(prefix=_NEW, dir=settings.blob_dir)
    os.close(descriptor)
    new = Path(name)
    try:
        if not shared_blobs.download(sha256, new, settings):
            if path.exists():
                raise DamagedBlobError
            raise ImageNotFoundError("The uploaded image is no longer stored. Send it again.")
        if not _is_whole(new, sha256):
            raise DamagedBlobError
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(path.parent, fcntl.LOCK_SH):
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _is_whole(path: Path, sha256: str) -> bool:
    """Check whether a file is there and has the bytes of its name. A file is read again only if it was changed."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return False
    return _digest(path, state.st_ino, state.st_size, state.st_mtime_ns) == sha256


@lru_cache(_MOST_DIGESTS)
def _digest(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored_blobs(settings: Settings) -> Iterator[tuple[Path, int]]:
    """Yield the path of each blob, and its size in bytes."""
    for path in settings.blob_dir.glob("[0-9a-f][0-9a-f]/*"):
        if _NAME.fullmatch(path.parent.name + path.name):
            with suppress(FileNotFoundError):
                yield path, path.stat().st_size


def blobs_before(time: float, settings: Settings) -> Iterator[str]:
    """Yield the SHA-256 of each blob that was last put before `time`, in seconds since the epoch."""
    for path in settings.blob_dir.glob("[0-9a-f][0-9a-f]/*"):
        sha256 = path.parent.name + path.name
        if _NAME.fullmatch(sha256) and _is_before(time, path):
            yield sha256


def remove_blob(sha256: str, settings: Settings, *, before: float) -> bool:
    """Remove a blob, unless it was put again at or after `before`. Returns whether this call removed it."""
    path = blob_path(sha256, settings)
    # A writer puts the blob either before its time is read, or after the removal.
    with _locked(path.parent, fcntl.LOCK_EX):
        if not (_is_before(before, path) and _removed(path)):
            return False
    shared_blobs.remove(sha256, settings)
    return True


def remove_unfinished(settings: Settings, *, before: float) -> int:
    """Remove blobs that a killed process left half written, untouched since `before`. Returns how many files."""
    unfinished = [path for path in settings.blob_dir.glob(f"{_NEW}*") if _is_before(before, path)]
    return sum(_removed(path) for path in unfinished)


def _is_before(time: float, path: Path) -> bool:
    """Check whether the file is older than `time`; False if it is gone, for several processes may sweep at the same time."""
    try:
        return path.stat().st_mtime < time
    except FileNotFoundError:
        return False


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some shared folders have no locks. There the age of a blob decides by itself.
        with suppress(OSError):
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
