"""Images that have a text file already: skipped, replaced, added to, or refused before anything is generated."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from jobs.captions.kept_texts import BLANK_BYTES, are_kept
from jobs.captions.output_names import is_text_name
from jobs.captions.own_texts import has_addition, is_own, without_open_addition
from jobs.captions.text_files import decode_text, fingerprint, is_blank, read_output, shown
from jobs.captions.text_places import BesideImages, SizedPlace, TextPlace, TextPlaces
from jobs.captions.writable_folders import WritableFolders
from jobs.chunks import chunked
from jobs.creation.other_outputs import OtherOutputs
from jobs.errors import CaptionqError, OutputError, OutputOccupiedError
from jobs.images.walking.folder_images import FoundImages
from jobs.objects.paths import is_object
from jobs.options.composition import CompositionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.requests import address_of
from jobs.store.store import Store
from jobs.store.written.written_texts import WrittenText

#: Images whose texts are looked up in the store by one query.
IMAGES_A_LOOKUP = 500


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image, and the file of its text."""

    place: TextPlace

    @property
    def image(self) -> Path:
        """The image."""
        return self.place.image

    @property
    def output(self) -> Path:
        """The text file."""
        return self.place.output


@dataclass(frozen=True, slots=True)
class PendingImage(PlannedImage):
    """An image that needs a text, and the file that is to hold the text."""

    #: The fingerprint of the text that is to be replaced or added to; None: there is none.
    before: str | None = None
    #: The reason why no text can be written: the image's job fails at once.
    refusal: CaptionqError | None = None

    @classmethod
    def at(cls, image: Path, output: Path, before: str | None = None) -> Self:
        """Return an image that needs a text, by its paths."""
        return cls(TextPlace.at(image, output), before)


@dataclass(frozen=True, slots=True)
class SkippedImage(PlannedImage):
    """An image that has its text, and keeps it."""


@dataclass(frozen=True, slots=True)
class WrittenByHand(SkippedImage):
    """An image whose text was to be replaced, but a person wrote or changed the text."""


@dataclass(frozen=True, slots=True)
class AlreadyAdded(SkippedImage):
    """An image to whose text an earlier run has added the answer to the same question."""


def plan_images(
    images: Iterable[FoundImages],
    options: CompositionOptions,
    *,
    store: Store,
    digest_of: Callable[[Path], str],
    named: Sequence[Path] = (),
    places: TextPlaces | None = None,
    look_only: bool = False,
) -> Iterator[PendingImage | SkippedImage]:
    """Decide for each image whether it needs a text, or is skipped because of the text that it has. A blank text is none.

    Images that need a text in a folder that cannot be written to are refused.

    Args:
        images: in any order (`by_folder` for paths); an image that is named in two ways comes out once.
        options: say which texts stay.
        store: knows the texts that captionq wrote.
        digest_of: returns the digest of the run's question about an image. A job with this digest adds its answer once.
        named: files and folders that the user named; none of these is ever taken for a text.
        places: of the texts; None: beside the images.
        look_only: touch no file: left-over temporary files stay, and folders are not probed but only asked for their rights.
    """
    decisions = _Decisions(options, store, digest_of, named, look_only=look_only)
    placed = (places or BesideImages()).of(images, is_one_walk=len(named) == 1, look_only=look_only)
    for chunk in chunked(placed, IMAGES_A_LOOKUP):
        yield from decisions.about(chunk)


class _KnownTexts(NamedTuple):
    """Facts about the texts of some hundreds of images, looked up together."""

    #: The texts that can be read, if the run adds to texts.
    contents: Mapping[Path, bytes | None]
    #: The texts that captionq wrote into each file.
    own: Mapping[Path, Sequence[WrittenText]]


class _Decisions:
    """The decisions about the images of one run."""

    def __init__(
        self,
        options: CompositionOptions,
        store: Store,
        digest_of: Callable[[Path], str],
        named: Sequence[Path],
        *,
        look_only: bool,
    ) -> None:
        self._options = options
        self._store = store
        self._digest_of = digest_of
        self._sources = {_identity(path) for path in named if is_text_name(path.name)}
        self._folders = WritableFolders(look_only=look_only)
        self._others = OtherOutputs(DeliveryOptions.of(options), store)
        self._writes_text = self._others.delivery.writes_text
        self._skips = options.existing == "skip"

    def about(self, chunk: Sequence[SizedPlace]) -> Iterator[PendingImage | SkippedImage]:
        """Decide about some hundreds of images, with one look into the store for all of them."""
        kept = are_kept(chunk, self._store) if self._writes_text and self._skips else [False] * len(chunk)
        self._others.look_up([place for place, _ in chunk])
        read = chunk if self._writes_text and not self._skips else []
        known = self._known([place.output for place, size in read if size is not None])
        for (place, size), is_kept in zip(chunk, kept, strict=True):
            yield SkippedImage(place) if is_kept else self._about_one(place, size, known)

    def _known(self, outputs: Sequence[Path]) -> _KnownTexts:
        # A text that is added to is read before the store is asked: a job that writes it in between is known by its row.
        contents = dict(self._readable(outputs)) if self._options.joins else {}
        addresses = {output: address_of(output) for output in outputs}
        written = self._store.written(list(addresses.values())) if addresses else {}
        return _KnownTexts(contents, {output: written.get(address, []) for output, address in addresses.items()})

    def _about_one(self, place: TextPlace, size: int | None, known: _KnownTexts) -> PendingImage | SkippedImage:
        """Decide about an image. `size`: of its text, see `SizedPlace`."""
        if not self._writes_text:
            if self._skips and self._others.are_there(place.image, place.output):
                return SkippedImage(place)
            return self._or_refused(PendingImage(place))
        if size is None:
            return self._or_refused(PendingImage(place))
        output = place.output
        if self._skips and size > BLANK_BYTES and is_object(output):
            # Reading it would cost a request.
            return SkippedImage(place)
        try:
            content = known.contents[output] if output in known.contents else self._content(output)
            one = _judge(place, content, known.own.get(output, []), self._options, self._digest_of)
        except OutputError as error:
            return PendingImage(place, refusal=error)
        return self._or_refused(one) if isinstance(one, PendingImage) else one

    def _or_refused(self, one: PendingImage) -> PendingImage:
        """Add the reason why one of the image's files cannot be written, if there is one."""
        refusal = self._folders.refusal(one.place.text_folder) or self._others.refusal(one.place)
        return one if refusal is None else replace(one, refusal=refusal)

    def _content(self, output: Path) -> bytes | None:
        """Read the text file. Raises OutputError if no text can be written in its place."""
        if _identity(output) in self._sources:
            raise OutputOccupiedError(f"{shown(output)} is one of the images, so no text can be written there.")
        if self._skips and output.is_symlink() and output.exists():
            # Nothing will be written there, so a link to a text counts as a text.
            with suppress(OutputOccupiedError):
                content = read_output(Path(os.path.realpath(output)))
                if content is not None and not is_blank(content):
                    return content
        return read_output(output)

    def _readable(self, outputs: Iterable[Path]) -> Iterator[tuple[Path, bytes | None]]:
        """Yield the files whose text can be read, with the text."""
        for output in outputs:
            with suppress(OutputError):
                yield output, self._content(output)


def _judge(
    place: TextPlace,
    content: bytes | None,
    own: Sequence[WrittenText],
    options: CompositionOptions,
    digest_of: Callable[[Path], str],
) -> PendingImage | SkippedImage:
    pending = PendingImage(place, before=fingerprint(content))
    if content is None or is_blank(content) or options.force:
        return pending
    if options.joins:
        # Decoded for its error: nothing is to be generated for a text that nothing can be added to.
        decode_text(content, place.output)
        digest = digest_of(place.image) if own else ""
        if own and has_addition(content, place.output, digest, own):
            return AlreadyAdded(place)
        return replace(pending, before=fingerprint(without_open_addition(content, digest, own)))
    if options.existing == "skip":
        return SkippedImage(place)
    return pending if is_own(content, own) else WrittenByHand(place)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the file's device and inode, which are equal for all names of a file; None: no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
