"""Watched folders: the images that come into them while `captionq caption --watch` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jobs.images.walking.arrivals import Arrivals
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_images
from jobs.images.walking.left_out import LeftOut
from jobs.options.selection import SelectionOptions

#: Seconds between two looks into watched folders.
LOOK_EVERY = 2.0


def arriving_images(
    paths: Sequence[Path], options: SelectionOptions, left_out: LeftOut, is_own: Callable[[Path], bool]
) -> Iterator[list[Path]]:
    """Yield the images that are there, if any, then those that have come, for ever.

    Args:
        options: choose the images.
        left_out: counts the files that the first look leaves out.
        is_own: tells of an image that has changed since it came whether captionq has changed it.
    """
    only, arrivals, is_first = FileFilter.of(options), Arrivals(is_own), True
    while True:
        begun = time.monotonic()
        images = find_images(paths, recursive=options.recursive, only=only, left_out=left_out)
        arrived = arrivals.ready(images, time.time())
        # Looking takes a tenth of the time at most, on a slow server too.
        pause = max(LOOK_EVERY, 10 * (time.monotonic() - begun))
        if arrived or is_first:
            yield arrived
        # The summary is about the first look.
        left_out, is_first = LeftOut(), False
        time.sleep(pause)


def waiting_line(captioned: int, failed: int) -> str:
    """Return the sentence about a run that waits for images, with what it has done so far."""
    failures = f", {failed:,} failed" if failed else ""
    so_far = f"{captioned:,} captioned{failures} so far. " if captioned or failed else ""
    return f"{so_far}Watching for new images. To stop, press Ctrl-C."
