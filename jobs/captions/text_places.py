"""The places of images' texts: beside the images, unless the images lie where nothing may be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from jobs.captions.sidecars import Sidecars
from jobs.captions.temporary_files import sweep_stale
from jobs.objects.paths import is_object


class TextPlace(NamedTuple):
    """An image, the file of its text, and the text's size in bytes."""

    image: Path
    output: Path
    #: None: there is no text; 0: there is one, and no listing has told its size.
    size: int | None


class TextPlaces(Protocol):
    """A rule that gives each image a file for its text."""

    def of(self, images: Iterable[Path], *, is_one_walk: bool, look_only: bool) -> Iterator[TextPlace]:
        """Yield each image once.

        Args:
            images: in any order.
            is_one_walk: one walk has found them, which does not come back to a folder.
            look_only: touch no file; otherwise left-over temporary files beside the texts are removed.
        """
        ...


class BesideImages:
    """Each text lies beside its image."""

    def of(self, images: Iterable[Path], *, is_one_walk: bool, look_only: bool) -> Iterator[TextPlace]:
        """Yield each image once, with its text file."""
        # By folder and name: a path would be hashed by its folded parts.
        sidecars, given = Sidecars(), set[tuple[str, str]]()
        folder, where = None, ""
        for image in images:
            if (here := sidecars.folder_of(image)) is not folder:
                folder, where = here, str(here.path)
                if is_one_walk:
                    # The folder may be one of very many.
                    given.clear()
                if not look_only and not is_object(folder.path):
                    sweep_stale(folder.path, folder.names)
            name = folder.text_of(image.name)
            if (where, name) not in given:
                given.add((where, name))
                size = folder.sizes.get(name, 0) if name in folder.names else None
                yield TextPlace(image, image.with_name(name), size)
