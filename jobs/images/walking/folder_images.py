"""Images as the names of one folder after another: a path for each of a million images takes longer than finding them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jobs.chunks import chunked

#: Names of a part: a larger folder comes in several parts, so that nothing waits for the whole of it.
NAMES_A_PART = 500


class FoundImages(NamedTuple):
    """Some images of one folder, in their order."""

    folder: Path
    names: Sequence[str]

    @property
    def paths(self) -> Iterator[Path]:
        """The paths of the images."""
        return (self.folder / name for name in self.names)


def by_folder(images: Iterable[Path]) -> Iterator[FoundImages]:
    """Put images that come one after the other out of one folder together. No more is read ahead than a part holds."""
    # Compared as text, which is quicker than making the folder's path for each image.
    for _, group in groupby(images, key=os.path.dirname):
        for part in chunked(group, NAMES_A_PART):
            yield FoundImages(part[0].parent, [image.name for image in part])


def in_parts(folder: Path, names: Iterable[str]) -> Iterator[FoundImages]:
    """Yield the images of a folder in parts."""
    return (FoundImages(folder, part) for part in chunked(names, NAMES_A_PART))
