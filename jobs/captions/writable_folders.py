"""Whether texts can be written into a folder, found out before anything is generated for its images."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from jobs.captions.temporary_files import temporary_name
from jobs.errors import OutputDiskFullError, OutputError, OutputForbiddenError, first_line
from jobs.errors.database_faults import is_disk_full
from jobs.images.walking.packages import library_around
from jobs.objects.paths import is_object

#: Errors that stay until a person changes permissions or the mount. All others, such as those of a full disk, may pass.
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def write_error(message: str, error: OSError) -> OutputError:
    """Return the error of a text file that could not be read or written; it tells whether another attempt may succeed.

    Args:
        message: the subject and the verb, such as "photo.txt could not be written".
        error: of the system.
    """
    if error.errno in _FORBIDDEN:
        kind: type[OutputError] = OutputForbiddenError
    else:
        kind = OutputDiskFullError if is_disk_full(error) else OutputError
    return kind(f"{message}: {first_line(error)}.")


class WritableFolders:
    """The folders that were probed. To be asked about one folder's images after another's."""

    def __init__(self, *, look_only: bool = False) -> None:
        """`look_only`: ask the system for the folder's rights, and write no file to find out."""
        self._find_refusal = _ask_rights if look_only else _probe
        self._folder: Path | None = None
        self._refusal: OutputForbiddenError | None = None

    def refusal(self, folder: Path) -> OutputForbiddenError | None:
        """Return the reason why no text can be written into the folder; None: it can, or the fault may pass."""
        if folder is self._folder:
            # Compared as objects, which is quicker: a folder may have very many images.
            return self._refusal
        if is_object(folder):
            # Writing needs other rights than probing may have; the store's answer to the first text tells.
            return None
        if folder != self._folder:
            self._folder = folder
            self._refusal = _of_library(folder) or self._find_refusal(folder)
        return self._refusal


def _of_library(folder: Path) -> OutputForbiddenError | None:
    """Refuse a folder of a Photos library: Photos may repair or remove what it does not know."""
    if library_around(folder) is None:
        return None
    return OutputForbiddenError(
        f"No text can be written into {_shown(folder)}: it belongs to a Photos library. Use captionq caption --photos-library."
    )


def _probe(folder: Path) -> OutputForbiddenError | None:
    """Make and remove a file, as writing a text does. Permissions alone do not tell: a server or a list of rights may object.

    If this process is killed in between, the name marks the file for the next sweep.
    """
    path = folder / temporary_name("probe")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        path.unlink()
    except OSError as error:
        if error.errno in _FORBIDDEN:
            return _refusal(folder, first_line(error))
    return None


def _ask_rights(folder: Path) -> OutputForbiddenError | None:
    # A folder that is not there yet will be made in the first one that is.
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return None if os.access(there, os.W_OK | os.X_OK) else _refusal(there, os.strerror(errno.EACCES))


def _refusal(folder: Path, reason: str) -> OutputForbiddenError:
    return OutputForbiddenError(
        f"No text can be written into {_shown(folder)}: {reason}. Make the folder writable, then try again."
    )


def _shown(folder: Path) -> str:
    """Return the folder's name only: an HTTP client must not learn the paths of files."""
    return f"the folder '{folder.name}'".encode(errors="replace").decode() if folder.name else "this folder"
