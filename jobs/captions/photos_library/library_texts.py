"""The texts of a Photos library's pictures. They lie in a folder outside of the library, in which nothing is ever written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jobs.captions.output_names import NAME_BYTES, SUFFIX, cut_name, fold
from jobs.captions.temporary_files import sweep_stale
from jobs.captions.text_places import SizedPlace, TextPlace
from jobs.captions.writable_folders import write_error
from jobs.errors import OutputForbiddenError
from jobs.images.photos_library.photo import Photo
from jobs.images.walking.folder_images import FoundImages
from jobs.images.walking.packages import library_around

#: Characters that a file's name cannot have, and a dot ahead, which would hide the text.
_UNFIT = re.compile(r"^\.|[/\x00-\x1f\x7f]")


class LibraryTexts:
    """The folder of the texts: `IMG_1.HEIC` gets `IMG_1.HEIC.3F2504E0-4F89-11D3-9A0C-0305E82C3301.txt`.

    Most libraries have several photos with one name. The UUID tells them apart, whatever is changed in Photos.
    """

    def __init__(self, folder: Path, photo_of: Callable[[Path], Photo]) -> None:
        """Choose the folder, which may not exist yet.

        `photo_of`: returns the photo of an image file.

        Raises OutputForbiddenError for a folder inside of a library.
        """
        if (library := library_around(folder)) is not None:
            raise OutputForbiddenError(
                f"{folder} is inside of {library.name}, in which nothing may be written. Choose another folder."
            )
        self._folder = folder
        self._photo_of = photo_of
        #: The text files of the images that came.
        self.outputs: dict[Path, Path] = {}

    def of(self, images: Iterable[FoundImages], *, is_one_walk: bool = True, look_only: bool) -> Iterator[SizedPlace]:
        """Yield each image with its text file. Unless `look_only`, the folder is made. Raises OutputError if it cannot be."""
        names = self._names(look_only=look_only)
        for image in (image for part in images for image in part.paths):
            photo = self._photo_of(image)
            output = self._folder / text_name(photo)
            self.outputs[image] = output
            yield TextPlace.at(image, output), (0 if fold(output.name) in names else None)

    def _names(self, *, look_only: bool) -> frozenset[str]:
        """Return the folded names of the files that are there."""
        try:
            if not look_only:
                self._folder.mkdir(parents=True, exist_ok=True)
            names = [path.name for path in self._folder.iterdir()] if self._folder.exists() else []
        except OSError as error:
            raise write_error(f"The folder of the texts, {self._folder}, could not be made", error) from error
        if not look_only:
            sweep_stale(self._folder, names)
        return frozenset(map(fold, names))


def text_name(photo: Photo) -> str:
    """Return the name of a photo's text file."""
    ending = f".{photo.uuid}{SUFFIX}"
    return cut_name(_UNFIT.sub("_", photo.name), NAME_BYTES - len(os.fsencode(ending))) + ending


def default_folder(library: Path) -> Path:
    """Return the folder of a library's texts, unless another one is chosen: `Photos Library captions`, beside the library."""
    return library.with_name(f"{library.stem} captions")
