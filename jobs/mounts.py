"""The mounts of this machine: where the folders that addresses in rows name lie here (`CAPTIONQ_PATH_MAP`).

Rows hold one address for a file, whichever machine reads them: `/Volumes/Photos/a.jpg`. A machine that has the folder elsewhere,
such as in `/mnt/photos`, translates on reading and on writing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote_from_bytes

from jobs.errors import InvalidRequestError

#: A name that is the same in an address.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")


class Mounts:
    """Pairs of a folder in addresses and the same folder here. The longest folder that fits decides."""

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        self.pairs = dict(pairs or {})
        self._to_here = _longest_first(self.pairs.items())
        back = [(here, named) for named, here in self.pairs.items()]
        # Callers resolve links before they ask, and the mount may lie behind a link.
        self._from_here = _longest_first(back + [(os.path.realpath(here), named) for here, named in back])

    def here(self, named: Path) -> Path:
        """Return the place of a file on this machine. A path below no folder of the map stays as it is."""
        return _moved(named, self._to_here) or named

    def named(self, here: Path) -> Path:
        """Return the path by which rows name a file of this machine.

        Raises InvalidRequestError for a file that no address can name: its path means another file to every reader of the map.
        """
        if not self.pairs:
            return here
        moved = _moved(here, self._from_here) or _moved_by_identity(here, self._from_here)
        named = moved or here
        back = self.here(named)
        if back != here and os.path.realpath(back) != os.path.realpath(here):
            raise InvalidRequestError(f"{here} cannot be named: its path stands for {back} here (CAPTIONQ_PATH_MAP).")
        return named

    def named_roots(self, roots: Sequence[Path]) -> list[Path]:
        """Return folders of this machine as rows name them: also the folders of the map that lie below them."""
        below = [named for here, named in self._from_here for root in roots if _is_in(here, str(root))]
        return list(dict.fromkeys([*(self.named(root) for root in roots), *map(Path, below)]))

    def root_of(self, here: Path) -> Path | None:
        """Return the folder of the map, as it is on this machine, that a file lies below; None: it lies below none."""
        plain = _plain(here)
        return next((Path(root) for root, _ in self._from_here if _is_in(plain, root)), None)


class _Process:
    """Like the working folder, the mounts belong to the process: addresses become paths in many places."""

    mounts: Mounts | None = None


def use_mounts(pairs: Mapping[str, str]) -> None:
    """Use these mounts for all addresses of this process. Called when its settings are read."""
    _Process.mounts = Mounts(pairs)


def mounts() -> Mounts:
    """Return the mounts of this process."""
    if _Process.mounts is None:
        _Process.mounts = Mounts()
    return _Process.mounts


def _longest_first(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(dict.fromkeys(pairs), key=lambda pair: -len(pair[0]))


def _plain(path: Path) -> str:
    """Return the path without `..`: a folder that is named and left again is not entered."""
    return os.path.normpath(path) if ".." in path.parts else str(path)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _moved(path: Path, pairs: list[tuple[str, str]]) -> Path | None:
    plain = _plain(path)
    for old, new in pairs:
        if _is_in(plain, old):
            return Path(new, plain[len(old) :].lstrip("/"))
    return None


def _moved_by_identity(path: Path, pairs: list[tuple[str, str]]) -> Path | None:
    """Move a path whose folder is written in another case: a Mac's file system finds it under that name, other systems do not."""
    plain = _plain(path)
    for old, new in pairs:
        beginning = plain[: len(old)]
        if beginning.casefold() == old.casefold() and _is_in(plain, beginning) and _is_same(beginning, old):
            return Path(new, plain[len(old) :].lstrip("/"))
    return None


def _is_same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def file_address(path: Path) -> str:
    """Return the address of an absolute path, as `Path.as_uri` does, and faster for many files of one folder."""
    folder, _, name = os.fspath(path).rpartition("/")
    return f"{_folder_address(folder)}/{_quoted(name)}"


def file_addresses(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the addresses of files of one absolute folder, as `file_address` does for each path."""
    address = _folder_address(os.fspath(folder).removesuffix("/"))
    return [f"{address}/{_quoted(name)}" for name in names]


def _quoted(name: str) -> str:
    # Most names are plain.
    return name if _PLAIN.fullmatch(name) else quote_from_bytes(os.fsencode(name))


@lru_cache(maxsize=256)
def _folder_address(folder: str) -> str:
    return Path(folder).as_uri() if folder else "file://"
