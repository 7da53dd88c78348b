"""The text file of each image: its name follows from what lies in the image's folder, and from nothing else."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property
from pathlib import Path

from jobs.captions.output_names import Claims, digest_names, fold, is_text_name, whole_name
from jobs.captions.text_owners import find_owners
from jobs.images.folder_walk import has_image_extension


class Sidecars:
    """Names the text files of images; reads each folder once, and keeps the one that was asked about last.

    `photo.jpg` gets `photo.txt`. Where another image of the folder could have that text too (`IMG_1.HEIC` beside `IMG_1.JPG`, as
    phones export them), both get their whole names, `IMG_1.HEIC.txt` and `IMG_1.JPG.txt`; where even whole names differ only by
    case or by the form of an accent, the exact name's digest comes into the text's name. A text that exists stays with its image,
    also when a twin of the image is added later.
    """

    def __init__(self) -> None:
        self._folder = FolderTexts(Path(), [])

    def path_for(self, image: Path) -> Path:
        """The text file of this image."""
        return image.with_name(self.folder_of(image).text_of(image.name))

    def is_there(self, output: Path) -> bool:
        """Whether there was such a file when the folder was read."""
        return output.name in self.folder_of(output).names

    def folder_of(self, image: Path) -> FolderTexts:
        """The folder of this image as it was when the first image of it was asked about."""
        if image.parent != self._folder.path:
            self._folder = read_folder(image.parent)
        return self._folder


class FolderTexts:
    """The texts of the images of one folder."""

    def __init__(self, path: Path, names: list[str]) -> None:
        self.path = path
        self.names = frozenset(names)
        images = sorted(name for name in names if has_image_extension(name))
        # Of two texts that only one image can have, the longer name says more surely whose it is.
        texts = sorted((name for name in names if is_text_name(name)), key=lambda name: (-len(name), name))
        self._claims = Claims(images, texts)
        self._owned = find_owners(path, self._claims, texts, self.names)
        self._texts = {fold(text) for text in texts}

    def text_of(self, image: str) -> str:
        """The name of the text file of this image."""
        if image not in self.names:
            # A Mac's file system finds it under another case or another form of its accents.
            image = self._by_fold.get(fold(image), image)
        if image in self._owned:
            return self._owned[image]
        if not has_image_extension(image):
            return self._text_of_odd(image)
        names = list(self._claims.fresh_names(image))
        return next((name for name in names if fold(name) not in self._texts), names[-1])

    def _text_of_odd(self, image: str) -> str:
        """A file without an image's extension has only its whole name, and leaves it to an image that could have it."""
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
    """The folder as it is now. One that cannot be listed counts as empty: a job for the image will say what is wrong."""
    try:
        with os.scandir(path) as entries:
            return FolderTexts(path, [entry.name for entry in entries])
    except OSError:
        return FolderTexts(path, [])
