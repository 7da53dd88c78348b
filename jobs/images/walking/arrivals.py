"""Images that come into a folder while it is watched: each is taken when it is complete."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from pathlib import Path

#: Seconds for which a file's size and times have to stay the same.
SETTLED_SECONDS = 2.0
#: A file whose own times are older than this is complete at its first sight. Clocks of servers may differ by some seconds.
OLD_SECONDS = 60.0

#: Size, time of the last change of the content in nanoseconds, and inode.
State = tuple[int, int, int]


class Arrivals:
    """The files that were seen in the watched folders, and those that were taken."""

    def __init__(self, is_own: Callable[[Path], bool] = lambda _: False) -> None:
        """`is_own`: tells of an image that has changed since it was taken whether captionq has changed it."""
        self._is_own = is_own
        #: The state of each file that is not complete, and the time since when the file has had it.
        self._seen: dict[Path, tuple[State, float]] = {}
        self._taken: dict[Path, State] = {}

    def ready(self, images: Iterable[Path], now: float) -> list[Path]:
        """Return the images that are complete, each once, and again when others have changed it.

        Args:
            images: all that are there now; other files are forgotten.
            now: seconds since the epoch.
        """
        ready: list[Path] = []
        seen: dict[Path, tuple[State, float]] = {}
        taken: dict[Path, State] = {}
        for image in images:
            try:
                status = image.stat()
            except OSError:
                continue
            state = (status.st_size, status.st_mtime_ns, status.st_ino)
            if not stat.S_ISREG(status.st_mode):
                continue
            before, since = self._seen.get(image, (state, now))
            since = since if before == state else now
            is_old = now - max(status.st_mtime, status.st_ctime) >= OLD_SECONDS
            last = self._taken.get(image)
            if last == state:
                taken[image] = state
            elif is_old or now - since >= SETTLED_SECONDS:
                taken[image] = state
                if last is None or not self._is_own(image):
                    ready.append(image)
            else:
                seen[image] = (state, since)
                if last is not None:
                    taken[image] = last
        self._seen, self._taken = seen, taken
        return ready
