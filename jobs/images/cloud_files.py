"""Files of iCloud Drive that are not on this Mac: placeholders of older systems, and files without their data."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TypeGuard

from jobs.errors import ImageNotDownloadedError, first_line

#: macOS marks a file whose data was not downloaded (`SF_DATALESS` of `sys/stat.h`).
_DATALESS = 0x40000000
#: Errors of reading such a file while its data cannot be downloaded.
_NOT_DOWNLOADED = frozenset({errno.EDEADLK, errno.ETIMEDOUT})
_SUFFIX = ".icloud"


def placeholder_of(name: str) -> str | None:
    """Return `photo.jpg` for its placeholder's name, `.photo.jpg.icloud`; None: the name is not a placeholder's."""
    inner = name[1 : -len(_SUFFIX)]
    return inner if inner and name.startswith(".") and name.endswith(_SUFFIX) else None


def has_placeholder(path: Path) -> bool:
    """Check whether a placeholder stands for this missing file."""
    return os.path.lexists(path.with_name(f".{path.name}{_SUFFIX}"))


def is_dataless(status: os.stat_result) -> bool:
    """Check whether macOS has the file's name, but not its data."""
    return bool(getattr(status, "st_flags", 0) & _DATALESS)


def is_cloud_fault(error: Exception) -> TypeGuard[OSError]:
    """Check whether reading failed because a cloud or a server did not send the file's data."""
    return isinstance(error, OSError) and error.errno in _NOT_DOWNLOADED


def not_sent(name: str, error: OSError) -> ImageNotDownloadedError:
    """Return the error of a file whose data a cloud or a server did not send."""
    return ImageNotDownloadedError(
        f"{name} could not be read from its cloud or server: {first_line(error)}. Download it first, then try again."
    )


def not_downloaded(name: str) -> ImageNotDownloadedError:
    """Return the error of a file that is not on this Mac."""
    return ImageNotDownloadedError(f"{name} is in iCloud and not on this Mac. Download it first, in Finder.")
