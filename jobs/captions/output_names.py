"""The names that a text file beside an image may have, and the images of a folder that claim the same name.

The text of `IMG_1.HEIC` has three possible names: plain (`IMG_1.txt`), whole (`IMG_1.HEIC.txt`), and with a digest of the image's
exact name (`IMG_1.HEIC.1a2b3c4d.txt`). `jobs/captions/sidecars.py` decides which name the text gets.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from jobs.images.walking.file_endings import split_name

SUFFIX = ".txt"
#: Maximum bytes of a file's name on all usual file systems.
NAME_BYTES = 255
#: Hex digits of the digest in a name; the longer digest if another image claims the name with the shorter one.
DIGEST_DIGITS = (8, 32)

_HAS_DIGEST = re.compile(rf"\.[0-9a-f]{{{DIGEST_DIGITS[0]},}}{re.escape(SUFFIX)}$", re.MULTILINE)


def fold(name: str) -> str:
    """Fold a name as file systems compare it that ignore case and the form of accents, such as a Mac's."""
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def fold_all(names: Sequence[str]) -> list[str]:
    """Fold very many names, usually as one text."""
    text = "\n".join(names)
    folded = text.casefold().split("\n") if text.isascii() else []
    # A name may hold the sign between them.
    return folded if len(folded) == len(names) else [fold(name) for name in names]


def is_text_name(name: str) -> bool:
    """Check whether a file of this name may be an image's text."""
    return name[-len(SUFFIX) :].lower() == SUFFIX


def texts_among(names: Sequence[str]) -> list[str]:
    """Return the names that may be those of texts. For very many names."""
    return [name for name in names if name[-len(SUFFIX) :].lower() == SUFFIX]


def plain_name(image: str) -> str:
    """Replace the extension: `photo.jpg` → `photo.txt`."""
    return split_name(image)[0] + SUFFIX


def whole_name(image: str) -> str | None:
    """Append the suffix: `photo.jpg` → `photo.jpg.txt`; None: the name would be too long."""
    return image + SUFFIX if len(os.fsencode(image)) + len(SUFFIX) <= NAME_BYTES else None


def digest_names(image: str) -> list[str]:
    """Make `photo.jpg.1a2b3c4d.txt` of `photo.jpg`, and a name with more digits. A long name is cut between two characters."""
    digest = hashlib.sha256(os.fsencode(image)).hexdigest()
    endings = [f".{digest[:digits]}{SUFFIX}" for digits in DIGEST_DIGITS]
    return [cut_name(image, NAME_BYTES - len(ending)) + ending for ending in endings]


def any_digests(texts: Sequence[str]) -> bool:
    """Check whether a name may end in a digest. All names are searched as one text: a folder may have very many."""
    return _HAS_DIGEST.search("\n".join(texts)) is not None


class NameClaims:
    """The names that the images of one folder claim. Names are compared folded."""

    def __init__(self, images: Sequence[str], texts: Sequence[str]) -> None:
        self._plain: defaultdict[str, list[str]] = defaultdict(list)
        self._whole: defaultdict[str, list[str]] = defaultdict(list)
        for image in images:
            self._plain[fold(plain_name(image))].append(image)
            if (whole := whole_name(image)) is not None:
                self._whole[fold(whole)].append(image)
        #: The images by their names with digests: computed only if the folder has such a text.
        self._by_digest: dict[str, str] = {}
        if any_digests(texts):
            self._by_digest = {name: image for image in images for name in digest_names(image)}

    def is_claimed(self, name: str, *, by_others_than: str | None = None) -> bool:
        """Check whether a name is the plain or the whole name of an image."""
        folded = fold(name)
        return _holds_another(self._plain, folded, by_others_than) or _holds_another(
            self._whole, folded, by_others_than
        )

    def holders(self, text: str) -> list[str]:
        """Return the images that may own a text that exists.

        If the file system distinguishes names that fold to the same name, images with exactly this name take precedence.
        """
        folded = fold(text)
        images = [*self._plain.get(folded, ()), *self._whole.get(folded, ())]
        if text in self._by_digest:
            return [self._by_digest[text], *images]
        return [image for image in images if text in (plain_name(image), image + SUFFIX)] or images

    def usual_name(self, image: str) -> str | None:
        """Return the name that an image gets if no text exists and no other image's name differs only by case."""
        plain = plain_name(image)
        return whole_name(image) if self.is_claimed(plain, by_others_than=image) else plain

    def fresh_names(self, image: str) -> Iterator[str]:
        """Yield the names that an image may get without sharing a name with another image, the best first."""
        if not self.is_claimed(plain_name(image), by_others_than=image):
            yield plain_name(image)
        whole = whole_name(image)
        # Not compared with plain names: an image whose plain name is another's whole name does not get it.
        if whole is not None and not _holds_another(self._whole, fold(whole), image):
            yield whole
        short, long = digest_names(image)
        if not self.is_claimed(short, by_others_than=image):
            yield short
        yield long


def _holds_another(claims: defaultdict[str, list[str]], folded: str, image: str | None) -> bool:
    # The image itself is among them at most once.
    found = claims.get(folded, ())
    return len(found) > 1 or (len(found) == 1 and found[0] != image)


def cut_name(name: str, size: int) -> str:
    """Cut the name to as many characters as fit into `size` bytes."""
    while len(os.fsencode(name)) > size:
        name = name[: min(len(name) - 1, size)]
    return name
