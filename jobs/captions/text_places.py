"""The places of images' texts: beside the images, unless the images lie where nothing may be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from jobs.captions.sidecars import Sidecars
from jobs.captions.temporary_files import sweep_stale
from jobs.images.walking.folder_images import FoundImages
from jobs.objects.paths import is_object


class TextPlace(NamedTuple):
    """An image and the file of its text, as names in folders: most images of a large folder never need the paths."""

    folder: Path
    name: str
    text_folder: Path
    text_name: str

    @classmethod
    def at(cls, image: Path, output: Path) -> Self:
        """Return the place of an image and its text."""
        return cls(image.parent, image.name, output.parent, output.name)

    @property
    def image(self) -> Path:
        """The image."""
        return self.folder / self.name

    @property
    def output(self) -> Path:
        """The text file."""
        return self.text_folder / self.text_name


#: An image with its text, and the text's size in bytes. None: there is no text; 0: there is one, and no listing told its size.
SizedPlace = tuple[TextPlace, int | None]


class TextPlaces(Protocol):
    """A rule that gives each image a file for its text."""

    def of(self, images: Iterable[FoundImages], *, is_one_walk: bool, look_only: bool) -> Iterator[SizedPlace]:
        """Yield each image once.

        Args:
            images: in any order.
            is_one_walk: one walk has found them, which does not come back to a folder.
            look_only: touch no file; otherwise left-over temporary files beside the texts are removed.
        """
        ...


class BesideImages:
    """Each text lies beside its image."""

    def of(self, images: Iterable[FoundImages], *, is_one_walk: bool, look_only: bool) -> Iterator[SizedPlace]:
        """Yield each image once, with its text file."""
        # By folder and name: a path would be hashed by its folded parts.
        sidecars, given = Sidecars(), set[tuple[str, str]]()
        texts = None
        for folder, names in images:
            if (here := sidecars.in_folder(folder)) is not texts:
                texts, where = here, str(folder)
                if is_one_walk:
                    # The folder may be one of very many.
                    given.clear()
                if not look_only and not is_object(folder):
                    sweep_stale(folder, texts.names)
            there, sizes = texts.names, texts.sizes
            for name, text in zip(names, texts.texts_of(names), strict=True):
                if (where, text) not in given:
                    given.add((where, text))
                    yield TextPlace(folder, name, folder, text), sizes.get(text, 0) if text in there else None
