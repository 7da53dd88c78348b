"""The image that owns a text that exists: decided by the names and the times of the files, without any record."""

from __future__ import annotations

import os
import stat
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from jobs.captions.output_names import SUFFIX, NameClaims, any_digests, fold, fold_all, plain_name
from jobs.images.walking.folder_walk import has_image_extension


def find_owners(folder: Path, claims: NameClaims, texts: Sequence[str], names: frozenset[str]) -> dict[str, str]:
    """Find the text of each image that owns one, by the image's name.

    1. A text that only one image can have belongs to that image, and an image owns at most one text.
    2. An image that is newer than the text is not its owner: twins that are added later change nothing.
    3. A remaining text belongs to the image that would get this name if no text existed, or to no image.

    A file without an image's extension (`p` beside `p.jpg`) may own a text only by the times: nothing tells whether the file is
    an image. Only files whose texts are in doubt after the first step are looked up on the disk.
    """
    owners = _OwnerSearch(claims, texts, names)
    owners.settle(texts)
    if doubtful := owners.in_doubt():
        for text in doubtful:
            owners.leave_out_newer(folder, text)
        owners.settle(doubtful)
        for text in doubtful:
            owners.decide_as_fresh(text)
    return owners.found


def plain_owners(images: Sequence[str], texts: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """Find the text of each image by the image's name, if all names of the folder are plain: no rule is needed to tell whose.

    Returns None if two images or two texts could be meant by one name. Nearly all folders are plain, and may be very large.
    """
    by_plain = dict(zip(fold_all([plain_name(image) for image in images]), images, strict=True))
    by_fold = dict(zip(fold_all(texts), texts, strict=True))
    bare = {text[: -len(SUFFIX)] for text in by_fold}
    is_plain = (
        len(by_plain) == len(images)
        and len(by_fold) == len(texts)
        # A whole name (`a.jpg.txt`), or the text of a file without an image's extension (`a.txt` of `a`).
        and bare.isdisjoint(fold_all(names))
        and not any_digests(texts)
    )
    return {by_plain[text]: by_fold[text] for text in by_plain.keys() & by_fold.keys()} if is_plain else None


class _OwnerSearch:
    """The owners found so far, and the possible owners of each other text."""

    def __init__(self, claims: NameClaims, texts: Sequence[str], names: frozenset[str]) -> None:
        self.found: dict[str, str] = {}
        self._claims = claims
        #: The possible owners of each text, and the texts that each possible owner could own.
        self._holders: dict[str, list[str]] = {}
        self._texts: defaultdict[str, list[str]] = defaultdict(list)
        for text in texts:
            holders = claims.holders(text)
            bare = text[: -len(SUFFIX)]
            # A file that may be an image's text is not an image: `a.txt` of `a.jpg` has no `a.txt.txt`.
            is_odd = bare in names and not has_image_extension(bare) and not claims.is_claimed(bare)
            if holders and is_odd:
                holders.append(bare)
            self._holders[text] = holders
            for holder in holders:
                self._texts[holder].append(text)

    def in_doubt(self) -> list[str]:
        return [text for text, holders in self._holders.items() if len(holders) > 1]

    def settle(self, texts: Sequence[str]) -> None:
        """Take step 1 until no other text gets an owner."""
        waiting = deque(text for text in texts if len(self._holders[text]) == 1)
        while waiting:
            text = waiting.popleft()
            if len(self._holders[text]) == 1:
                waiting += self._own(self._holders[text][0], text)

    def leave_out_newer(self, folder: Path, text: str) -> None:
        """Take step 2. If all possible owners are newer, the folder was copied, and times say nothing."""
        states = {name: _lstat(folder / name) for name in (text, *self._holders[text])}
        written = states[text]
        if written is None:
            return
        holders = [name for name in self._holders[text] if has_image_extension(name) or _is_file(states[name])]
        older = [name for name in holders if (state := states[name]) and state.st_ctime_ns <= written.st_mtime_ns]
        self._holders[text] = older or holders

    def decide_as_fresh(self, text: str) -> None:
        """Take step 3."""
        images = [name for name in self._holders[text] if has_image_extension(name)]
        right = [image for image in images if fold(self._claims.usual_name(image) or "") == fold(text)]
        if len(self._holders[text]) > 1 and len(right) == 1:
            self.settle(self._own(right[0], text))

    def _own(self, owner: str, text: str) -> list[str]:
        """Record an owner; return the texts that only one image can have now."""
        self.found[owner] = text
        self._holders[text] = []
        changed = []
        for other in self._texts[owner]:
            if owner in self._holders[other]:
                self._holders[other].remove(owner)
                changed.append(other)
        return [other for other in changed if len(self._holders[other]) == 1]


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _is_file(state: os.stat_result | None) -> bool:
    return state is not None and stat.S_ISREG(state.st_mode)
