"""A photo of a Photos library, and the interface of the programs that read such libraries."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture or movie of a Photos library, outside of its trash."""

    #: Stays the same as long as the photo is in the library.
    uuid: str
    #: Name of the file that was imported.
    name: str
    #: File of the edited version if there is one, else of the original; None: it is not on this machine.
    file: Path | None
    #: Seconds since the epoch at which the picture was taken.
    taken: float = 0.0
    #: Seconds since the epoch at which the photo was imported or edited.
    changed: float = 0.0
    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    #: Names of its albums.
    albums: tuple[str, ...] = ()
    is_movie: bool = False
    is_hidden: bool = False
    #: Whether it belongs to another person: a photo of a shared album, or one that was received and not saved.
    is_of_others: bool = False
    #: Whether iCloud has its file.
    is_in_cloud: bool = False
    #: Whether its file lies outside of the library, where it was when Photos was told of it.
    is_referenced: bool = False


class PhotoSource(Protocol):
    """A library that was opened for reading."""

    def photos(self) -> Iterable[Photo]:
        """Return everything that is not in the trash, in any order."""
        ...

    def albums(self) -> Collection[str]:
        """Return the names of the albums."""
        ...

    def metadata(self, uuid: str, wanted: Collection[str]) -> dict[str, str]:
        """Return those values of a photo's `ImageMetadata` that are wanted and known, by their names."""
        ...
