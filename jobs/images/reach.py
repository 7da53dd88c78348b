"""Whether this machine reaches an image's folder at all: what is not mounted here may be mounted for another worker."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from jobs.errors import CaptionqError, ImageNotReachedError
from jobs.mounts import mounts

#: Errors of a mount whose server or disk is gone.
_LOST = frozenset({errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENXIO})
#: Folders that tell machines apart: `/Volumes/Photos`, `/mnt/photos`, `/Users/anna`.
_DEPTH = 2


def check_reached(path: Path, name: str) -> None:
    """Check that the root of a missing file is here: a folder of the path map, or the first two folders of its path.

    The folder of a share that is not mounted is often there, and empty. Raises ImageNotReachedError.
    """
    mapped = mounts().root_of(path)
    root = mapped or Path(*path.parent.parts[: _DEPTH + 1])
    if not _is_there(root, filled=mapped is not None):
        raise not_reached(name, root)


def not_reached(name: str, root: Path) -> ImageNotReachedError:
    """Return the error of an image below a root that is missing here. Clients learn the name only, the log also the root."""
    error = ImageNotReachedError(
        f"{name} is not reached from this machine: its folder is not mounted here. Mount it, or set its place: CAPTIONQ_PATH_MAP."
    )
    error.root = str(root)
    return error


def bucket_not_reached(name: str, error: CaptionqError) -> ImageNotReachedError:
    """Return the error of an object whose bucket is not reached, or for which this machine lacks the extra."""
    failure = ImageNotReachedError(f"{name} is not reached from this machine. {error.message}")
    failure.root = getattr(error, "root", "") or "s3://"
    return failure


def blob_not_reached(error: CaptionqError) -> ImageNotReachedError:
    """Return the error of an uploaded image that is not stored on this machine."""
    failure = ImageNotReachedError(f"{error.message} Workers of several machines share uploads by CAPTIONQ_BLOB_URL.")
    failure.root = "the folder of uploaded images"
    return failure


def is_lost_mount(error: Exception) -> bool:
    """Check whether the server or the disk behind a mount is gone."""
    return isinstance(error, OSError) and error.errno in _LOST


def is_mounted(root: Path) -> bool:
    """Check whether a folder of the path map is there. The place of a share that is not mounted is empty."""
    return _is_there(root, filled=True)


def _is_there(root: Path, *, filled: bool) -> bool:
    try:
        with os.scandir(root) as entries:
            return not filled or next(entries, None) is not None
    except PermissionError:
        return True
    except OSError:
        return False
