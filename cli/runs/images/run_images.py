"""The images of a caption run: where they come from, and where their texts go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from jobs.captions.text_places import BesideImages, TextPlaces
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_images import FoundImages
from jobs.images.walking.folder_walk import find_by_folder
from jobs.images.walking.left_out import LeftOut
from jobs.options.selection import SelectionOptions


class RunImages(Protocol):
    """A source of images."""

    @property
    def places(self) -> TextPlaces:
        """The places of their texts. Asked for when images have been found."""
        ...

    def find(self, paths: Sequence[Path], left_out: LeftOut) -> Iterator[FoundImages]:
        """Yield the images. `paths`: those that the user named; `left_out` gets what is left out."""
        ...


class FolderImages:
    """The images among and below the paths that the user named. Their texts lie beside them."""

    def __init__(self, options: SelectionOptions) -> None:
        """`options`: choose the images. Raises InvalidRequestError, which names a pattern that cannot be used."""
        self._recursive = options.recursive
        self._only = FileFilter.of(options)
        self.places: TextPlaces = BesideImages()

    def find(self, paths: Sequence[Path], left_out: LeftOut) -> Iterator[FoundImages]:
        """Walk the folders."""
        return find_by_folder(paths, recursive=self._recursive, only=self._only, left_out=left_out)
