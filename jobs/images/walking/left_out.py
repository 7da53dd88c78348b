"""The record of a walk: files and folders that it met and did not yield."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jobs.images.walking.file_endings import split_name


@dataclass
class LeftOutPhotos:
    """Photos of a Photos library that a run left out."""

    movies: int = 0
    #: Number of photos in the album Hidden.
    hidden: int = 0
    #: Number of photos of shared albums, and of photos that were received and not saved.
    of_others: int = 0
    #: Names of photos whose files are in iCloud only.
    in_cloud: list[str] = field(default_factory=list)
    #: Names of photos whose files are outside of the library, on a disk that is not connected.
    elsewhere: list[str] = field(default_factory=list)
    #: Names of photos whose files should be in the library, and are not.
    lost: list[str] = field(default_factory=list)


@dataclass
class LeftOut:
    """Files and folders that a walk for images left out."""

    #: Packages and system folders, which were not entered.
    packages: list[Path] = field(default_factory=list)
    #: Images of which only a placeholder is on this Mac, by their own names.
    in_cloud: list[Path] = field(default_factory=list)
    #: Number of images and folders that a pattern excluded, or that no pattern included.
    excluded: int = 0
    #: Number of images that were last changed too early.
    older: int = 0
    #: Number of videos of Live Photos, and of frames of bursts beside their first.
    of_shots: int = 0
    #: Files that are not images, by extension.
    others: Counter[str] = field(default_factory=Counter)
    #: Of a Photos library.
    photos: LeftOutPhotos = field(default_factory=LeftOutPhotos)

    def add_other(self, name: str) -> None:
        """Count a file that is not an image."""
        self.others[split_name(name)[1]] += 1

    def add_others(self, names: Iterable[str]) -> None:
        """Count files that are not images. Their names begin with no dot: so it takes half of the time."""
        self.others.update([name[name.rfind(".") :] if "." in name else "" for name in names])
