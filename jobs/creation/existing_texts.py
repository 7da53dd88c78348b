"""Images that have a text file already: skipped, replaced, added to, or refused before anything is generated."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from jobs.captions.kept_texts import BLANK_BYTES, are_kept
from jobs.captions.output_names import is_text_name
from jobs.captions.own_texts import has_addition, is_own, without_open_addition
from jobs.captions.text_files import decode_text, fingerprint, is_blank, read_output, shown
from jobs.captions.text_places import BesideImages, TextPlace, TextPlaces
from jobs.captions.writable_folders import WritableFolders
from jobs.chunks import chunked
from jobs.creation.other_outputs import OtherOutputs
from jobs.errors import CaptionqError, OutputError, OutputOccupiedError
from jobs.images.walking.folder_images import FoundImages, by_folder
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
    images: Iterable[Path],
    options: CompositionOptions,
    *,
    store: Store,
    digest_of: Callable[[Path], str],
    named: Sequence[Path] = (),
    places: TextPlaces | None = None,
    look_only: bool = False,
) -> Iterator[PendingImage | SkippedImage]:
    """Decide about images as `plan_by_folder` does. An image that is named in two ways comes out once."""
    found = by_folder(images)
    return plan_by_folder(
        found, options, store=store, digest_of=digest_of, named=named, places=places, look_only=look_only
    )


def plan_by_folder(
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
        images: in any order; an image that is named in two ways comes out once.
        options: say which texts stay.
        store: knows the texts that captionq wrote.
        digest_of: returns the digest of the run's question about an image. A job with this digest adds its answer once.
        named: files and folders that the user named; none of these is ever taken for a text.
        places: of the texts; None: beside the images.
        look_only: touch no file: left-over temporary files stay, and folders are not probed but only asked for their rights.
    """
    sources = {_identity(path) for path in named if is_text_name(path.name)}
    folders, others = WritableFolders(look_only=look_only), OtherOutputs(DeliveryOptions.of(options), store)
    placed = (places or BesideImages()).of(images, is_one_walk=len(named) == 1, look_only=look_only)
    writes_text, skips = others.delivery.writes_text, options.existing == "skip"
    for chunk in chunked(placed, IMAGES_A_LOOKUP):
        kept = are_kept(chunk, store) if writes_text and skips else [False] * len(chunk)
        others.look_up([place for place, _ in chunk])
        there: dict[Path, str] = {}
        if writes_text and not skips:
            there = {place.output: address_of(place.output) for place, size in chunk if size is not None}
        # A text that is added to is read before the store is asked: a job that writes it in between is known by its row.
        contents = dict(_readable(there, options, sources)) if options.joins else {}
        written = store.written(list(there.values())) if there else {}
        for (place, size), is_kept in zip(chunk, kept, strict=True):
            if is_kept:
                yield SkippedImage(place)
                continue
            if writes_text and size is None:
                yield _refused(PendingImage(place), others, folders)
                continue
            output = place.output
            if not writes_text:
                yield _planned(place, options, others, folders)
                continue
            if skips and is_object(output) and size is not None and size > BLANK_BYTES:
                # Reading it would cost a request.
                yield SkippedImage(place)
                continue
            try:
                if output not in contents:
                    contents[output] = _content(output, options, sources)
                one = _judge(place, contents[output], written.get(there.get(output, ""), []), options, digest_of)
            except OutputError as error:
                yield PendingImage(place, refusal=error)
                continue
            yield _refused(one, others, folders) if isinstance(one, PendingImage) else one


def _planned(
    place: TextPlace, options: CompositionOptions, others: OtherOutputs, folders: WritableFolders
) -> PendingImage | SkippedImage:
    """Decide about an image that gets no text file: it is skipped if it has all files of the run from captionq."""
    if options.existing == "skip" and others.are_there(place.image, place.output):
        return SkippedImage(place)
    return _refused(PendingImage(place), others, folders)


def _refused(one: PendingImage, others: OtherOutputs, folders: WritableFolders) -> PendingImage:
    """Add the reason why one of the image's files cannot be written, if there is one."""
    refusal = folders.refusal(one.place.text_folder) or others.refusal(one.place)
    return one if refusal is None else replace(one, refusal=refusal)


def _content(output: Path, options: CompositionOptions, sources: Collection[tuple[int, int] | None]) -> bytes | None:
    """Read the text file. Raises OutputError if no text can be written in its place."""
    if _identity(output) in sources:
        raise OutputOccupiedError(f"{shown(output)} is one of the images, so no text can be written there.")
    if options.existing == "skip" and output.is_symlink() and output.exists():
        # Nothing will be written there, so a link to a text counts as a text.
        with suppress(OutputOccupiedError):
            content = read_output(Path(os.path.realpath(output)))
            if content is not None and not is_blank(content):
                return content
    return read_output(output)


def _readable(
    outputs: Iterable[Path], options: CompositionOptions, sources: Collection[tuple[int, int] | None]
) -> Iterator[tuple[Path, bytes | None]]:
    """Yield the files whose text can be read, with the text."""
    for output in outputs:
        with suppress(OutputError):
            yield output, _content(output, options, sources)


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
