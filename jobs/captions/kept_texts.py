"""Texts that stay without being read, found for hundreds of images at a time: most images of a folder have theirs already."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from jobs.captions.text_places import SizedPlace
from jobs.mounts import file_addresses, mounts
from jobs.objects.paths import is_object
from jobs.requests import address_of
from jobs.store.store import Store

#: Size up to which a text that captionq wrote is read again, in case that nothing is left of it.
BLANK_BYTES = 16


def are_kept(places: Sequence[SizedPlace], store: Store) -> list[bool]:
    """Check for each of some hundreds of images whether captionq wrote its text, and the text is too large to be blank.

    Texts that are objects are not looked at. Reading each text of a large folder would take long.
    """
    addresses: list[str | None] = []
    for folder, group in groupby(places, key=lambda one: one[0].text_folder):
        addresses += _filled(folder, group)
    foreign = store.unwritten([address for address in addresses if address is not None])
    return [address is not None and address not in foreign for address in addresses]


def _filled(folder: Path, places: Iterable[SizedPlace]) -> list[str | None]:
    """Return the addresses of the texts of one folder; None for those that are not there, or may be blank by their sizes."""
    names = [None if size is None else place.text_name for place, size in places]
    if is_object(folder):
        return [None] * len(names)
    start = os.path.join(folder, "")  # noqa: PTH118  # a path a text takes longer than the look
    names = [name if name is not None and _is_filled(start + name) else None for name in names]
    filled = [name for name in names if name is not None]
    # The map of mounts may have a folder, or a file, elsewhere.
    addresses = iter(
        [address_of(folder / name) for name in filled] if mounts().pairs else file_addresses(folder, filled)
    )
    return [None if name is None else next(addresses) for name in names]


def _is_filled(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > BLANK_BYTES
