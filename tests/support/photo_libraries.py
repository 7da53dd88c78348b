"""A Photos library without Photos: photos of a list, and an app that keeps their texts in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.errors import OutputError
from jobs.images.photos_library.photo import Photo


class ListedPhotos:
    """The interface `PhotoSource` over a list of photos."""

    def __init__(self, photos: Sequence[Photo], metadata: Mapping[str, str] | None = None) -> None:
        """`metadata`: of every photo."""
        self._photos = photos
        self._metadata = metadata or {}

    def photos(self) -> Iterator[Photo]:
        return iter(self._photos)

    def albums(self) -> Collection[str]:
        return {album for photo in self._photos for album in photo.albums}

    def metadata(self, uuid: str, wanted: Collection[str]) -> dict[str, str]:
        return {name: value for name, value in self._metadata.items() if name in wanted}


class RememberingApp:
    """The interface `PhotosApp` over the texts of some photos; it knows no other photo."""

    def __init__(self, photos: Mapping[str, PhotoTexts]) -> None:
        self.photos = dict(photos)
        #: The changes that were made.
        self.written: dict[str, PhotoTexts] = {}

    def read(self, uuid: str) -> PhotoTexts:
        if uuid not in self.photos:
            raise OutputError("The photo is not in the library that Photos has open.")
        return self.photos[uuid]

    def write(self, uuid: str, change: PhotoTexts) -> None:
        there = self.read(uuid)
        self.written[uuid] = change
        self.photos[uuid] = PhotoTexts(
            change.title or there.title, change.description or there.description, there.keywords + change.keywords
        )


def library_file(library: Path, uuid: str) -> Path:
    """Make an empty picture where Photos keeps originals: nothing opens it."""
    file = library / "originals" / uuid[0] / f"{uuid}.heic"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file
