"""Served folders to choose from, with the number of pictures in each. No look takes longer than its seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from api.intake.images import check_served
from jobs.configuration.settings import Settings
from jobs.errors import ImageForbiddenError, NotFoundError, first_line
from jobs.images.allowed_roots import is_below
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_images
from jobs.images.walking.packages import package_kind
from jobs.safe_text import safe_text

#: Seconds for counting the pictures of one page of folders.
COUNT_SECONDS = 0.8
#: Folders that one page lists.
MOST_FOLDERS = 200


@dataclass(frozen=True)
class FolderLink:
    """A folder that can be opened."""

    #: For people: characters that are not shown stand as escapes.
    name: str
    quoted: str
    #: Pictures in it and below; None: counting would take too long.
    pictures: int | None = None


@dataclass(frozen=True)
class FolderView:
    """An open folder, or the list of the served ones."""

    #: The path, quoted; empty: no folder is open.
    quoted: str
    #: The way from the served folder to this one.
    crumbs: list[FolderLink]
    folders: list[FolderLink]
    pictures: int
    #: Whether all pictures were counted.
    is_counted: bool
    #: Whether more folders are here than are listed.
    has_more: bool = False


class TimeUpError(Exception):
    """A walk has taken as long as it may."""


class TimedFilter(FileFilter):
    """A filter that ends the walk at a moment. Also a walk that meets no picture asks it about each folder."""

    #: By the monotonic clock.
    until = float("inf")

    @property
    def takes_all(self) -> bool:
        # The clock is asked at each file.
        return False

    def takes_folder(self, path: Path, base: Path) -> bool:
        self._check()
        return super().takes_folder(path, base)

    def takes(self, path: Path, base: Path) -> bool:
        self._check()
        return super().takes(path, base)

    def _check(self) -> None:
        if time.monotonic() > self.until:
            raise TimeUpError


def served_folder(path: str, settings: Settings) -> Path:
    """Return a served folder with all links resolved. Raises ImageForbiddenError, NotFoundError."""
    real = check_served(Path(path), settings)
    try:
        if real.is_dir():
            os.scandir(real).close()
            return real
    except OSError as error:
        raise ImageForbiddenError(
            f"The folder {shown_name(real)} cannot be read: {first_line(error)}. Make it readable for captionq serve."
        ) from None
    raise NotFoundError(f"{shown_name(real)} is no folder, or is not there any more. Choose another.")


def view_folder(path: str, settings: Settings) -> FolderView:
    """Open a served folder; an empty path: the only served one, or the list of them. Raises its errors."""
    roots = list(dict.fromkeys(Path(os.path.realpath(root)) for root in settings.served_roots))
    until = time.monotonic() + COUNT_SECONDS
    if not path and len(roots) != 1:
        return FolderView("", [], list(_counted(roots, settings, until)), 0, is_counted=True)
    real = served_folder(path or str(roots[0]), settings)
    folders = _folders_in(real, settings)
    links = list(_counted(folders[:MOST_FOLDERS], settings, until))
    counts = [link.pictures for link in links]
    # The folder's own pictures; those of its folders have been counted.
    own = _count(real, settings, until, recursive=False)
    return FolderView(
        quote(str(real)),
        [FolderLink(shown_name(one), quote(str(one))) for one in _way(real, roots)],
        links,
        (own or 0) + sum(count or 0 for count in counts),
        is_counted=own is not None and None not in counts and len(folders) <= MOST_FOLDERS,
        has_more=len(folders) > MOST_FOLDERS,
    )


def shown_name(folder: Path) -> str:
    """Return the name of a folder for people."""
    return safe_text(folder.name or str(folder))


def _way(real: Path, roots: list[Path]) -> list[Path]:
    """Return the folders from the served one to this one, both included."""
    above = [one for one in (real, *real.parents) if is_below(one, roots)]
    return above[::-1]


def _folders_in(folder: Path, settings: Settings) -> list[Path]:
    """List the folders in a folder that a walk would enter: none that is hidden, a package, or outside of the served ones."""
    found: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or package_kind(entry.name) is not None or not _can_be_sent(entry.name):
                continue
            path = folder / entry.name
            if _is_folder(entry) and (not entry.is_symlink() or is_below(path, settings.served_roots)):
                found.append(path)
            if len(found) > 20 * MOST_FOLDERS:
                break
    return sorted(found, key=lambda one: one.name.casefold())


def _can_be_sent(name: str) -> bool:
    """Check whether a form can send the name: only names that are Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def _counted(folders: list[Path], settings: Settings, until: float) -> Iterator[FolderLink]:
    for folder in folders:
        yield FolderLink(shown_name(folder), quote(str(folder)), _count(folder, settings, until))


def _count(folder: Path, settings: Settings, until: float, *, recursive: bool = True) -> int | None:
    only = TimedFilter()
    only.until = until
    try:
        return sum(1 for _ in find_images([folder], recursive=recursive, roots=settings.served_roots, only=only))
    except TimeUpError:
        return None
