"""Folders that a walk leaves out: libraries of photo programs, bundles of macOS, and folders of servers and systems.

Programs show a package as one file. Its files belong to its program: originals, thumbnails and copies of one photo.
"""

from __future__ import annotations

#: Endings of packages' names, and the words for these packages.
_PACKAGES = {
    ".photoslibrary": "Photos library",
    ".photolibrary": "iPhoto library",
    ".migratedphotolibrary": "iPhoto library",
    ".aplibrary": "Aperture library",
    ".lrdata": "Lightroom data folder",
    ".lrlibrary": "Lightroom library",
    ".imovielibrary": "iMovie library",
    ".fcpbundle": "Final Cut library",
    ".tvlibrary": "TV library",
    ".theater": "iMovie theater",
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
