"""Bytes that came with a request, kept by their content: the same picture sent twice is there once.

A blob lies in `blobs/ab/cdef…`, named by the SHA-256 of its bytes, and is whole or not there. A request refers to it as
`blob:<sha256>`, an address that is made here alone and refused from outside.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from jobs.errors import CaptionqError, ImageError, ImageNotFoundError, ImageTooLargeError
from jobs.settings import Settings

SCHEME = "blob:"
#: Bytes that are read of an upload at a time.
PIECE = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")
_NEW = "new-"


def blob_address(sha256: str) -> str:
    """How a request refers to a blob."""
    return f"{SCHEME}{sha256}"


def blob_path(sha256: str, settings: Settings) -> Path:
    """Where a blob lies, or would."""
    return settings.blob_dir / sha256[:2] / sha256[2:]


def put_blob(
    pieces: Iterable[bytes], settings: Settings, *, most: int, too_large: type[CaptionqError]
) -> tuple[str, int]:
    """Keep these bytes, and return their SHA-256 and their number. Raises `too_large` beyond `most` bytes."""
    digest, size = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(prefix=_NEW, dir=settings.blob_dir)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > most:
                    raise too_large(f"The file has more than the {most / 1e6:.0f} MB that are allowed.")
                digest.update(piece)
                file.write(piece)
        path = blob_path(digest.hexdigest(), settings)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(path.parent, fcntl.LOCK_SH):
            # Also when it is there already: its time says when it was last used.
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return digest.hexdigest(), size


def put_image_file(file: BinaryIO, settings: Settings) -> tuple[str, int]:
    """Keep what a client has sent as an image, and return its SHA-256 and its size. Raises ImageTooLargeError."""
    pieces = iter(partial(file.read, PIECE), b"")
    return put_blob(pieces, settings, most=settings.max_image_bytes, too_large=ImageTooLargeError)


def find_blob(address: str, settings: Settings) -> Path:
    """The file behind a `blob:` address. Raises ImageError, ImageNotFoundError."""
    sha256 = address.removeprefix(SCHEME)
    if not _NAME.fullmatch(sha256):
        raise ImageError("The reference to the uploaded image is not valid.")
    path = blob_path(sha256, settings)
    if not path.exists():
        raise ImageNotFoundError("The uploaded image is not kept any more. Send it again.")
    return path


def blobs_before(time: float, settings: Settings) -> Iterator[str]:
    """The SHA-256 of each blob that was last put before `time`, in seconds since the epoch."""
    for path in settings.blob_dir.glob("[0-9a-f][0-9a-f]/*"):
        sha256 = path.parent.name + path.name
        if _NAME.fullmatch(sha256) and _is_before(time, path):
            yield sha256


def remove_blob(sha256: str, settings: Settings, *, before: float) -> bool:
    """Remove the blob unless it was put again meanwhile, at or after `before`. Returns whether it is gone by this call."""
    path = blob_path(sha256, settings)
    # Who puts it at this moment does so before the look at its time, or after the removal.
    with _locked(path.parent, fcntl.LOCK_EX):
        return _is_before(before, path) and _removed(path)


def remove_unfinished(settings: Settings, *, before: float) -> int:
    """Remove what a killed process left half written, untouched since `before`. Returns how many files."""
    unfinished = [path for path in settings.blob_dir.glob(f"{_NEW}*") if _is_before(before, path)]
    return sum(_removed(path) for path in unfinished)


def _is_before(time: float, path: Path) -> bool:
    """False also when it is gone: others may sweep at the same time."""
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
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
