"""The text file of each image. Its name follows only from the names and times of the files in the image's folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from jobs.captions.output_names import NameClaims, digest_names, fold, is_text_name, whole_name
from jobs.captions.text_owners import find_owners
from jobs.errors import MissingToolError, ObjectStoreError
from jobs.images.walking.folder_walk import has_image_extension
from jobs.images.walking.shots import left_out_of_shots
from jobs.objects.paths import is_object
from jobs.objects.store import ObjectNotFoundError, list_folder


class Sidecars:
    """The names of the text files of images. Reads each folder once, and keeps the folder that was asked about last.

    `photo.jpg` gets `photo.txt`. If another image of the folder could have that text too (`IMG_1.HEIC` beside `IMG_1.JPG`, as
    phones export them), both get their whole names, `IMG_1.HEIC.txt` and `IMG_1.JPG.txt`; if even whole names differ only by
    case or by the form of an accent, the text's name has the digest of the exact name. A text that exists stays with its image,
    also when a twin of the image is added later.
    """

    def __init__(self) -> None:
        self._folder = FolderTexts(Path(), [])
        self._path: str | None = None

    def path_for(self, image: Path) -> Path:
        """Return the text file of this image."""
        return image.with_name(self.folder_of(image).text_of(image.name))

    def folder_of(self, image: Path) -> FolderTexts:
        """Return the folder of this image as it was when its first image was asked about."""
        # Compared as text, which is quicker: a folder may have very many images.
        if (path := os.path.dirname(image)) != self._path:  # noqa: PTH120
            self._path, self._folder = path, read_folder(image.parent)
        return self._folder


class FolderTexts:
    """The texts of the images of one folder."""

    def __init__(self, path: Path, names: list[str], sizes: Mapping[str, int] | None = None) -> None:
        """`sizes`: bytes of the files by name, if the listing has told them."""
        self.path = path
        self.sizes = sizes or {}
        self.names = frozenset(names)
        of_shots = left_out_of_shots(names)
        images = sorted(name for name in names if has_image_extension(name) and name not in of_shots)
        # Of two texts that only one image can have, the longer name is the surer sign of its owner.
        texts = sorted((name for name in names if is_text_name(name)), key=lambda name: (-len(name), name))
        self._claims = NameClaims(images, texts)
        self._owned = find_owners(path, self._claims, texts, self.names)
        self._texts = {fold(text) for text in texts}

    def text_of(self, image: str) -> str:
        """Return the name of the text file of this image."""
        if image not in self.names:
            # A Mac's file system finds the image under another case or another form of its accents.
            image = self._by_fold.get(fold(image), image)
        if image in self._owned:
            return self._owned[image]
        if not has_image_extension(image):
            return self._text_of_odd(image)
        names = list(self._claims.fresh_names(image))
        return next((name for name in names if fold(name) not in self._texts), names[-1])

    def _text_of_odd(self, image: str) -> str:
        """Name the text of a file without an image's extension: its whole name, unless an image could have that name."""
        whole = whole_name(image)
        if whole is None or self._claims.is_claimed(whole) or self._odd[fold(image)] > 1:
            return digest_names(image)[0]
        return whole

    @cached_property
    def _by_fold(self) -> dict[str, str]:
        return {fold(name): name for name in self.names}

    @cached_property
    def _odd(self) -> Counter[str]:
        return Counter(fold(name) for name in self.names if not has_image_extension(name))


def read_folder(path: Path) -> FolderTexts:
    """Read the folder, or list the objects, as it is now.

    A folder that cannot be listed counts as empty: the image's job will report the error.
    """
    if is_object(path):
        try:
            objects, _ = list_folder(path)
        except (ObjectNotFoundError, ObjectStoreError, MissingToolError):
            objects = []
        sizes = {one.name: one.size for one in objects}
        return FolderTexts(path, list(sizes), sizes)
    try:
        with os.scandir(path) as entries:
            return FolderTexts(path, [entry.name for entry in entries])
    except OSError:
        return FolderTexts(path, [])
