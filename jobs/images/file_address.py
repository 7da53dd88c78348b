"""Files that clients name: `file:` addresses (RFC 8089) and absolute paths, on this machine only."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.errors import InvalidImageURLError
from jobs.mounts import mounts
from jobs.requests import path_of

_FILE = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
#: `C:\\photo.jpg`, `C:/photo.jpg` and `\\\\server\\share`; in a file: address after a slash.
_WINDOWS = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")
_EXAMPLE = "such as file:///folder/photo.jpg"


def named_path(name: str) -> Path:
    """Return the place on this machine that a client names by a path or a `file:` address.

    The path is absolute: a relative one would be read below the folder in which the server was started, and `~` is the home
    of the server's user. Raises InvalidImageURLError.
    """
    found = _FILE.fullmatch(name)
    path = name if found is None else found["path"] or ""
    host = "" if found is None else found["host"] or ""
    if _WINDOWS.match(path) or _WINDOWS.match(host + path):
        raise InvalidImageURLError("Windows paths are not supported. Send the image as a data: address.")
    if host.lower() not in ("", "localhost"):
        raise InvalidImageURLError(
            f"A file: address cannot name another machine ('{host[:100]}'). Write three slashes and an absolute path, {_EXAMPLE}."
        )
    if not path.startswith("/"):
        raise InvalidImageURLError(f"The path of an image must be absolute, {_EXAMPLE}; not relative and not with ~.")
    return mounts().here(Path(path)) if found is None else path_of(f"file://{path}")


def names_path(url: str) -> bool:
    """Check whether a client's text means a file: a `file:` address, or anything without a scheme."""
    return url[:5].lower() == "file:" or _WINDOWS.match(url) is not None or re.match(r"[A-Za-z][\w+.-]*:", url) is None
