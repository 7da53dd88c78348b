"""The photos of a library that a run takes: those that Photos shows in the library, unless albums or patterns leave them out."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from jobs.errors import InvalidRequestError
from jobs.images.photos_library.photo import Photo, PhotoSource
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import has_image_extension
from jobs.images.walking.left_out import LeftOut

#: The folder of photos for patterns, which are about names: photos of a library lie in no folder that means something.
_FOLDER = Path("/")
#: Album names that an error suggests.
_SUGGESTED = 3


class ChosenPhotos:
    """The photos that a run takes, by their files."""

    def __init__(self, source: PhotoSource, *, albums: Sequence[str], only: FileFilter) -> None:
        """Make the choice.

        Args:
            source: the library.
            albums: names of albums; a photo has to be in one of these. Without a name all photos are taken.
            only: takes photos by the names of their imported files, and by the times at which they were imported or edited.

        Raises InvalidRequestError, which names an album that is not there.
        """
        self._source = source
        self._albums = frozenset(map(_folded, albums))
        self._only = only
        self._by_file: dict[Path, Photo] = {}
        for album in albums:
            _check_album(album, source.albums())

    def files(self, left_out: LeftOut) -> Iterator[Path]:
        """Yield the files of the photos in the order in which the pictures were taken.

        A file that two photos refer to comes once. `left_out` gets what is left out.
        """
        seen = set[Path]()
        for photo in sorted(self._source.photos(), key=lambda one: (one.taken, one.uuid)):
            if not self._is_meant(photo):
                continue
            file = self._file_of(photo, left_out)
            if file is not None and file not in seen:
                seen.add(file)
                self._by_file[file] = photo
                yield file

    def photo_of(self, file: Path) -> Photo:
        """Return the photo of a file that `files` yielded."""
        return self._by_file[file]

    def _is_meant(self, photo: Photo) -> bool:
        return not self._albums or not self._albums.isdisjoint(map(_folded, photo.albums))

    def _file_of(self, photo: Photo, left_out: LeftOut) -> Path | None:
        """Return the file of a photo; None: it is left out, and was counted."""
        photos = left_out.photos
        if photo.is_movie:
            photos.movies += 1
        elif photo.is_of_others:
            photos.of_others += 1
        elif photo.is_hidden:
            photos.hidden += 1
        elif not self._only.takes(_FOLDER / photo.name, _FOLDER):
            left_out.excluded += 1
        elif self._only.is_older_than(photo.changed):
            left_out.older += 1
        elif photo.file is None:
            nowhere = photos.elsewhere if photo.is_referenced else photos.lost
            (photos.in_cloud if photo.is_in_cloud else nowhere).append(photo.name)
        elif not has_image_extension(photo.file.name):
            left_out.add_other(photo.file.name)
        else:
            return photo.file
        return None


def _check_album(album: str, there: Collection[str]) -> None:
    names = {_folded(name): name for name in there}
    if _folded(album) in names:
        return
    close = difflib.get_close_matches(_folded(album), names, _SUGGESTED)
    suggestion = f" Did you mean {' or '.join(repr(names[one]) for one in close)}?" if close else ""
    raise InvalidRequestError(f"The library has no album {album!r}.{suggestion}")


def _folded(name: str) -> str:
    """Fold an album's name, so that neither case nor the form of accents matters."""
    return unicodedata.normalize("NFC", name).casefold()
