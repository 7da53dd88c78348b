"""A copy of a library's database. SQLite writes beside a database that it reads, and nothing may be written into a library."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import ImageForbiddenError, ImageNotReachedError, InvalidRequestError, first_line

_DATABASE = "database/Photos.sqlite"
#: Files that belong to the database: its log of the newest changes, and the version of the library.
_LOG, _VERSION = "database/Photos.sqlite-wal", "database/photos.db"
#: Bytes of the log's header, which changes whenever the log begins again: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_HEADER = 32
#: Copies that are tried while Photos writes, and seconds between them.
_TRIES, _PAUSE = 5, 1.0


@contextmanager
def database_copy(library: Path) -> Iterator[Path]:
    """Provide a copy of the database in a temporary folder, as the library is now, also while Photos changes it.

    Raises InvalidRequestError if the folder is no library that can be read, ImageForbiddenError if it may not be read, and
    ImageNotReachedError for other errors, or if Photos did not stop writing.
    """
    with tempfile.TemporaryDirectory(prefix="captionq-photos-") as folder:
        yield _stable_copy(library, Path(folder))


def _stable_copy(library: Path, folder: Path) -> Path:
    """Copy the database as it is at one moment, and translate the system's errors."""
    try:
        for _ in range(_TRIES):
            before = _state(library)
            copy = _copy(library, folder)
            if _state(library) == before:
                return copy
            time.sleep(_PAUSE)
    except FileNotFoundError as error:
        raise InvalidRequestError(
            f"{library} is no library of Photos, or one from before macOS 10.15, which Photos converts when it opens it."
        ) from error
    except PermissionError as error:
        raise ImageForbiddenError(
            f"{library} may not be read. Give your terminal Full Disk Access: System Settings, Privacy & Security."
        ) from error
    except OSError as error:
        raise ImageNotReachedError(f"{library} could not be read: {first_line(error)}.") from error
    raise ImageNotReachedError(f"Photos is changing {library.name} all the time. Try again when it has calmed down.")


def _state(library: Path) -> tuple[int, int, bytes]:
    """Return what changes when the log is written back into the database. What is only added to the log does no harm."""
    status = (library / _DATABASE).stat()
    try:
        with (library / _LOG).open("rb") as log:
            header = log.read(_HEADER)
    except FileNotFoundError:
        header = b""
    return status.st_size, status.st_mtime_ns, header


def _copy(library: Path, folder: Path) -> Path:
    for name in (_DATABASE, _LOG, _VERSION):
        copy = folder / Path(name).name
        copy.unlink(missing_ok=True)
        if name == _DATABASE or (library / name).exists():
            shutil.copyfile(library / name, copy)
    return folder / Path(_DATABASE).name
