"""The files that a walk takes, by their paths and times.

Which endings are those of images is decided in `jobs/images/walking/folder_walk.py`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from jobs.ages import point_in_time
from jobs.images.walking.path_patterns import PathPatterns
from jobs.options.selection import SelectionOptions


class FileFilter:
    """The filter of a walk: patterns of files to take, patterns of files and folders to leave out, and an earliest time."""

    def __init__(
        self, include: PathPatterns | None = None, exclude: PathPatterns | None = None, since: float | None = None
    ) -> None:
        """Make a filter.

        Args:
            include: a file has to match one of these; None: any file is taken.
            exclude: a file or folder that matches one of these is left out.
            since: seconds since the epoch; a file that was last changed earlier is left out.
        """
        self._include = include
        self._exclude = exclude or PathPatterns()
        self._since = since

    @classmethod
    def of(cls, options: SelectionOptions) -> Self:
        """Make the filter of a run that begins now. Raises InvalidRequestError, which names the pattern."""
        include = PathPatterns(options.include) if options.include else None
        since = None if options.newer_than is None else point_in_time(options.newer_than, time.time())
        return cls(include, PathPatterns(options.exclude), since)

    @property
    def has_patterns(self) -> bool:
        """Whether a file may be taken as one below one folder, and left out as one below another."""
        return bool(self._exclude) or self._include is not None

    @property
    def takes_all(self) -> bool:
        """Whether nothing is left out, so that the filter need not be asked about files."""
        return not self.has_patterns and self._since is None

    def takes_folder(self, path: Path, base: Path) -> bool:
        """Check whether a folder below the folder `base` is entered."""
        return not self._exclude.match(path, base, is_folder=True)

    def takes(self, path: Path, base: Path) -> bool:
        """Check whether a file below the folder `base` is taken by its path."""
        return not self._exclude.match(path, base) and (self._include is None or self._include.match(path, base))

    def is_older_than(self, modified: float) -> bool:
        """Check whether this time of a change, in seconds since the epoch, is too early."""
        return self._since is not None and modified < self._since

    def is_too_old(self, path: Path) -> bool:
        """Check whether the file was last changed too early. A file that is not there is not: its job reports the error."""
        if self._since is None:
            return False
        try:
            return path.stat().st_mtime < self._since
        except OSError:
            return False
