"""The pictures of a Photos library as the images of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePath

from jobs.captions.photos_library.library_texts import LibraryTexts
from jobs.images.metadata import clean_value
from jobs.images.photos_library.chosen_photos import ChosenPhotos
from jobs.images.photos_library.photo import Photo, PhotoSource
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_images import FoundImages, by_folder
from jobs.images.walking.left_out import LeftOut
from jobs.options.selection import SelectionOptions


class LibraryImages:
    """The photos of a library that a run takes. The library is read when it is asked for its first image."""

    def __init__(
        self, open_source: Callable[[], PhotoSource], options: SelectionOptions, *, albums: Sequence[str], texts: Path
    ) -> None:
        """Prepare the choice.

        Args:
            open_source: reads the library.
            options: choose the photos by the names of the imported files, and by the times of their import or edit.
            albums: see `ChosenPhotos`.
            texts: the folder of the texts.

        Raises InvalidRequestError for a pattern that cannot be used, OutputForbiddenError for a folder inside of a library.
        """
        self._open_source = open_source
        self._only = FileFilter.of(options)
        self._albums = albums
        self.places = LibraryTexts(texts, self.photo_of)

    def find(self, paths: Sequence[Path], left_out: LeftOut) -> Iterator[FoundImages]:
        """Yield the files of the photos in the order in which they were taken. No path is needed."""
        return by_folder(self._chosen.files(left_out))

    def photo_of(self, image: Path) -> Photo:
        """Return the photo of an image file that `find` yielded."""
        return self._chosen.photo_of(image)

    def known_fields(self, image: Path, wanted: Collection[str]) -> dict[str, str]:
        """Return what Photos knows about an image, by the names of the fields of prompts. The folder is its first album."""
        photo = self.photo_of(image)
        name = PurePath(clean_value(photo.name))
        values = {"name": name.name, "stem": name.stem, "folder": clean_value(min(photo.albums, default=""))}
        values = {field: value for field, value in values.items() if field in wanted}
        return values | self._source.metadata(photo.uuid, wanted)

    @cached_property
    def _source(self) -> PhotoSource:
        return self._open_source()

    @cached_property
    def _chosen(self) -> ChosenPhotos:
        return ChosenPhotos(self._source, albums=self._albums, only=self._only)
