"""The images of a run that are captioned: in which order, and how many."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.options.selection import SelectionOptions

T = TypeVar("T")


def choose(
    planned: Iterable[PendingImage | SkippedImage], options: SelectionOptions
) -> Iterator[PendingImage | SkippedImage]:
    """Yield the images that need a text in the order of the options, up to their limit, and images that are skipped.

    Skipped images do not count towards the limit. In the order of names nothing is looked at after the last image.

    Args:
        planned: in the order of their names, as `plan_images` decides about them.
        options: the order and the limit.
    """
    if options.order != "name":
        planned = _in_order(planned, _key(options))
    left = options.limit
    for one in planned:
        yield one
        if left is not None and isinstance(one, PendingImage):
            left -= 1
            if not left:
                return


def choose_rows(images: Iterable[Path], options: SelectionOptions) -> Iterator[Path]:
    """Yield the images of a table of questions, which come in the order of their names, in the order of the options, up to
    their limit.
    """
    if options.order != "name":
        images = sorted(images, key=_key(options))
    return islice(images, options.limit)


def evenly_spaced(items: Sequence[T], size: int) -> tuple[list[T], list[T]]:
    """Return `size` items, spread evenly over the list, and the others, both in the order of the list."""
    size = min(size, len(items))
    chosen = {number * len(items) // size for number in range(size)}
    return (
        [item for number, item in enumerate(items) if number in chosen],
        [item for number, item in enumerate(items) if number not in chosen],
    )


def _key(options: SelectionOptions) -> Callable[[Path], Any]:
    return _latest_first if options.order == "date" else _shuffled


def _in_order(
    planned: Iterable[PendingImage | SkippedImage], key: Callable[[Path], Any]
) -> Iterator[PendingImage | SkippedImage]:
    """Yield the skipped images as they come, then the others by their key."""
    wanted: list[PendingImage] = []
    for one in planned:
        if isinstance(one, PendingImage):
            wanted.append(one)
        else:
            yield one
    # The sort is stable: images with the same time stay in the order of their names.
    yield from sorted(wanted, key=lambda one: key(one.image))


def _latest_first(image: Path) -> float:
    try:
        return -image.stat().st_mtime
    except OSError:
        # Its job reports the error.
        return 0.0


def _shuffled(image: Path) -> bytes:
    """Return a key that is the same in each run, so that runs with a limit take one sample after the other."""
    return hashlib.sha256(os.fsencode(image)).digest()
