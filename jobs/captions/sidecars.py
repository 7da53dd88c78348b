"""The text file of each image. Its name follows only from the names and times of the files in the image's folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from jobs.captions.output_names import NameClaims, digest_names, fold, texts_among, whole_name
from jobs.captions.text_owners import find_owners, plain_owners
from jobs.errors import MissingToolError, ObjectStoreError
from jobs.images.walking.folder_walk import has_image_extension, images_among
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
        self._path: Path | None = None

    def path_for(self, image: Path) -> Path:
        """Return the text file of this image."""
        return image.with_name(self.in_folder(image.parent).text_of(image.name))

    def in_folder(self, folder: Path) -> FolderTexts:
        """Return the texts of a folder as the folder was when it was asked about first."""
        if folder != self._path:
            self._path, self._folder = folder, read_folder(folder)
        return self._folder


class FolderTexts:
    """The texts of the images of one folder."""

    def __init__(self, path: Path, names: list[str], sizes: Mapping[str, int] | None = None) -> None:
        """`sizes`: bytes of the files by name, if the listing has told them."""
        self.path = path
        self.sizes = sizes or {}
        self.names = frozenset(names)
        of_shots = left_out_of_shots(names)
        self._images = [name for name in images_among(names) if name not in of_shots]
        texts = texts_among(names)
        owned = plain_owners(self._images, texts, names)
        if owned is None:
            # Of two texts that only one image can have, the longer name is the surer sign of its owner.
            texts.sort(key=lambda name: (-len(name), name))
        self._texts = texts
        self._owned = find_owners(path, self._claims, texts, self.names) if owned is None else owned

    def texts_of(self, images: Iterable[str]) -> list[str]:
        """Return the names of the text files of these images."""
        # An owner of a text is in the folder by this name.
        owned = self._owned.get
        return [owned(image) or self.text_of(image) for image in images]

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
        return next((name for name in names if fold(name) not in self._folded_texts), names[-1])

    def _text_of_odd(self, image: str) -> str:
        """Name the text of a file without an image's extension: its whole name, unless an image could have that name."""
        whole = whole_name(image)
        if whole is None or self._claims.is_claimed(whole) or self._odd[fold(image)] > 1:
            return digest_names(image)[0]
        return whole

    # Needed for images without a text of their own only.
    @cached_property
    def _claims(self) -> NameClaims:
        return NameClaims(sorted(self._images), self._texts)

    @cached_property
    def _folded_texts(self) -> set[str]:
        return {fold(text) for text in self._texts}

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
        return FolderTexts(path, os.listdir(path))  # noqa: PTH208  # without a path for each name
    except OSError:
        return FolderTexts(path, [])
