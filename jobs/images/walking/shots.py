"""Files of one shot: the video of a Live Photo, and the frames of a burst, are left out beside their photo."""

from __future__ import annotations

import re
from collections.abc import Collection

from jobs.images.walking.file_endings import split_name

#: A Live Photo is a photo and a video with the same stem.
_PHOTOS = frozenset([".heic", ".heif", ".jpg", ".jpeg"])
_LIVE_VIDEOS = frozenset([".mov", ".mp4"])
#: Android names the frames of a burst by its time: `00001IMG_00001_BURST20260101120000123_COVER.jpg`.
_BURST = re.compile(r"burst(\d{8,})", re.IGNORECASE)
#: A folder without these has no files that belong to another's shot.
_SIGNS = ("burst", *_LIVE_VIDEOS)
_COVER = re.compile(r"cover", re.IGNORECASE)


def left_out_of_shots(names: Collection[str]) -> frozenset[str]:
    """Return the names of a folder that belong to the shot of another name. Of a burst the cover stays, or the first frame."""
    # Most folders have neither, and may be large: all names are searched as one text, whatever the words belong to.
    text = "\n".join(names).casefold()
    if not any(word in text for word in _SIGNS):
        return frozenset()
    parts = [(name, *split_name(name)) for name in names if not name.startswith(".")]
    photos = {stem.casefold() for _, stem, extension in parts if extension.lower() in _PHOTOS}
    left_out = {
        name for name, stem, extension in parts if extension.lower() in _LIVE_VIDEOS and stem.casefold() in photos
    }
    bursts: dict[str, list[str]] = {}
    for name, stem, extension in parts:
        if extension.lower() in _PHOTOS and (found := _BURST.search(stem)):
            bursts.setdefault(found[1], []).append(name)
    for frames in bursts.values():
        kept = min(frames, key=lambda name: (_COVER.search(name) is None, name))
        left_out.update(name for name in frames if name != kept)
    return frozenset(left_out)
