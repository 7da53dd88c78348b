"""Reading Photos libraries with the package osxphotos, an extra."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import InvalidRequestError, MissingToolError, first_line
from jobs.errors.install_commands import command_for_extra
from jobs.images.metadata import clean_value
from jobs.images.photos_library.database_copy import database_copy
from jobs.images.photos_library.photo import Photo

if TYPE_CHECKING:
    from osxphotos import PhotoInfo, PhotosDB

#: The name that osxphotos gives to faces that nobody has named.
_UNNAMED = "_UNKNOWN_"
_USUAL_PLACE = "~/Pictures/Photos Library.photoslibrary"


def check_osxphotos() -> None:
    """Raise MissingToolError if osxphotos is not installed."""
    if importlib.util.find_spec("osxphotos") is None:
        raise MissingToolError(f"Reading a Photos library needs an extra: {command_for_extra('photos')}")


def find_library() -> Path:
    """Return the library that Photos opened last, or the usual one. Raises InvalidRequestError if there is none."""
    for path in (open_library_path(), Path(_USUAL_PLACE).expanduser()):
        if path is not None and path.is_dir():
            return path
    raise InvalidRequestError("There is no Photos library at the usual place. Name yours: --photos-library PATH")


def open_library_path() -> Path | None:
    """Return the path of the library that Photos opened last; None: Photos does not tell, or this is no Mac."""
    from osxphotos.utils import get_last_library_path

    found = get_last_library_path()
    return None if found is None else Path(found)


class OsxphotosSource:
    """A library that osxphotos has read into memory, as it was at that moment."""

    def __init__(self, library: Path) -> None:
        """Read the library: some seconds for ten thousand photos.

        Raises MissingToolError, the errors of `database_copy`, and InvalidRequestError if osxphotos cannot read the library.
        """
        check_osxphotos()
        with database_copy(library) as copy:
            self._database = _open(copy, library)

    def photos(self) -> Iterator[Photo]:
        """Yield everything that is not in the trash. Of a burst only the frames that Photos shows come."""
        return map(_photo, self._database.photos())

    def albums(self) -> Collection[str]:
        """Return the names of the albums, also of shared ones: these can be named, and their photos are counted as left out."""
        return [name for name in (*self._database.albums, *self._database.albums_shared) if name]

    def metadata(self, uuid: str, wanted: Collection[str]) -> dict[str, str]:
        """Return those values of a photo's `ImageMetadata` that are wanted and that Photos knows, by their names."""
        photo = self._database.get_photo(uuid)
        assert photo is not None
        # Reading the name of a place takes a millisecond.
        readers = {"date": _date, "place": _place, "title": _title, "keywords": _keywords, "people": _people}
        values = {name: clean_value(read(photo)) for name, read in readers.items() if name in wanted}
        return {name: value for name, value in values.items() if value}


def _open(copy: Path, library: Path) -> PhotosDB:
    from osxphotos import PhotosDB, __version__

    # It warns about each index that is not beside the copy, and about each version of macOS that is newer than itself.
    logging.getLogger("osxphotos").setLevel(logging.ERROR)
    try:
        return PhotosDB(dbfile=str(copy), library_path=str(library))
    except OSError:
        raise
    except Exception as error:
        # It raises many kinds of errors for tables that it does not know.
        raise InvalidRequestError(
            f"osxphotos {__version__} does not understand {library} ({first_line(error)}). A newer osxphotos may."
        ) from error


def _photo(info: PhotoInfo) -> Photo:
    changed = [time.timestamp() for time in (info.date_added, info.date_modified) if time is not None]
    return Photo(
        uuid=info.uuid,
        name=info.original_filename,
        file=next((Path(path) for path in (info.path_edited, info.path) if path), None),
        taken=info.date.timestamp(),
        changed=max(changed, default=0.0),
        title=_title(info),
        description=info.description or "",
        keywords=tuple(info.keywords),
        albums=tuple(name for name in info.albums if name),
        is_movie=info.ismovie,
        is_hidden=info.hidden or not info.visible,
        is_of_others=bool(info.shared or info.shared_moment or (info.syndicated and not info.saved_to_library)),
        is_in_cloud=info.iscloudasset,
        is_referenced=bool(info.isreference),
    )


def _title(info: PhotoInfo) -> str:
    return info.title or ""


def _keywords(info: PhotoInfo) -> str:
    return ", ".join(info.keywords)


def _people(info: PhotoInfo) -> str:
    return ", ".join(name for name in info.persons if name and name != _UNNAMED)


def _date(info: PhotoInfo) -> str:
    # osxphotos gives this moment to a photo whose date is missing, or is none that Python can hold.
    return "" if info.date.timestamp() == 0 else f"{info.date:%Y-%m-%d %H:%M:%S}"


def _place(info: PhotoInfo) -> str:
    """Return the place's name, or its coordinates as `ImageMetadata.place` has them."""
    name: Any = None
    # A place that Photos could not store well makes osxphotos raise all kinds of errors.
    with suppress(Exception):
        name = info.place and info.place.name
    if name:
        return str(name)
    latitude, longitude = info.location
    return "" if latitude is None or longitude is None else f"{latitude:.4f}, {longitude:.4f}"
