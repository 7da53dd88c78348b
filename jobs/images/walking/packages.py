"""Folders that a walk leaves out: libraries of photo programs, bundles and documents of macOS, folders of servers and systems.

Programs show a package as one file. Its files belong to its program: originals, thumbnails and copies of one photo, or the
pictures of a document, of which a text beside them would become a part.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePath

PHOTOS_LIBRARY = ".photoslibrary"
#: Endings of packages' names, and the words for these packages.
_PACKAGES = {
    PHOTOS_LIBRARY: "Photos library",
    ".photolibrary": "iPhoto library",
    ".migratedphotolibrary": "iPhoto library",
    ".aplibrary": "Aperture library",
    ".lrdata": "Lightroom data folder",
    ".lrlibrary": "Lightroom library",
    ".imovielibrary": "iMovie library",
    ".fcpbundle": "Final Cut library",
    ".tvlibrary": "TV library",
    ".theater": "iMovie theater",
    ".cocatalog": "Capture One catalog",
    ".dtbase2": "DEVONthink database",
    ".rtfd": "RTFD document",
    ".pages": "Pages document",
    ".numbers": "Numbers document",
    ".key": "Keynote document",
    ".epub": "book",
    ".download": "download of Safari",
    ".app": "application",
    ".bundle": "bundle",
    ".framework": "framework",
}
#: Thumbnails and recycle bins of NAS systems, Windows and macOS.
_SYSTEM = frozenset({"@eadir", "#recycle", "@recycle", "$recycle.bin", ".trashes"})
SYSTEM_FOLDER = "system folder"


def package_kind(name: str) -> str | None:
    """Return the kind of package or system folder that a folder of this name is; None: an ordinary folder."""
    folded = name.casefold()
    if folded in _SYSTEM:
        return SYSTEM_FOLDER
    stem, dot, ending = folded.rpartition(".")
    return _PACKAGES.get(dot + ending) if stem else None


def library_around(folder: Path) -> Path | None:
    """Return the Photos library that a folder, or the place to which it is a link, is or lies in; None: it lies in none."""
    real = Path(os.path.realpath(folder))
    return next((one for one in (real, *real.parents) if is_photos_library(one)), None)


def is_photos_library(folder: PurePath) -> bool:
    """Check by its name whether a folder is a library of the Photos app."""
    return folder.suffix.casefold() == PHOTOS_LIBRARY
