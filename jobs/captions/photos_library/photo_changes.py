"""The texts that captions change in a Photos library, decided before and while they are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.captions.photos_library.photo_texts import PhotoTexts, change_of, texts_of
from jobs.captions.photos_library.photos_app import PhotosApp
from jobs.captions.text_files import decode_text, read_output
from jobs.chunks import chunked
from jobs.errors import OutputError
from jobs.images.photos_library.photo import Photo
from jobs.requests import address_of
from jobs.store.queries.caption_runs import best_jobs_of
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_texts import WrittenText


@dataclass(frozen=True)
class PhotoChange:
    """A photo whose texts are to change."""

    photo: Photo
    #: The texts of its caption.
    wanted: PhotoTexts
    #: Those of captions that captionq wrote about it before.
    own: tuple[PhotoTexts, ...]
    #: The change, if the photo still has the texts that it had when the library was read.
    change: PhotoTexts


@dataclass
class ChangePlan:
    """The changes of a run."""

    changes: list[PhotoChange] = field(default_factory=list)
    #: Number of photos whose title or description a person wrote. It stays.
    kept: int = 0


def plan_changes(texts: Iterable[tuple[Photo, Path]], store: Store, *, as_keywords: bool, replace: bool) -> ChangePlan:
    """Compare captions with the texts that the photos had when the library was read. Photos without a caption are left alone.

    Args:
        texts: the photos with their text files.
        store: knows which question each text answers, and the texts that captionq wrote before.
        as_keywords: texts of which the store knows nothing are lists of keywords.
        replace: also replace titles and descriptions that a person wrote.
    """
    plan = ChangePlan()
    for chunk in chunked(texts, ROWS_A_STATEMENT):
        outputs = [address_of(output) for _, output in chunk]
        jobs, written = best_jobs_of(store.engine, outputs), store.written(outputs)
        for (photo, output), address in zip(chunk, outputs, strict=True):
            job = jobs.get(address)
            is_list = as_keywords if job is None else _is_list(job)
            wanted = texts_of(_caption(output), as_keywords=is_list)
            own = _own_texts(job, written.get(address, ()), as_keywords=is_list)
            there = PhotoTexts(photo.title, photo.description, photo.keywords)
            change, keeps = change_of(there, wanted, own, replace=replace)
            plan.kept += keeps
            if change:
                plan.changes.append(PhotoChange(photo, wanted, own, change))
    return plan


def write_change(change: PhotoChange, app: PhotosApp, *, replace: bool) -> PhotoTexts:
    """Write the texts that the photo lacks now: since the library was read, a person may have written some.

    Returns what was written. Raises the errors of `PhotosApp`.
    """
    uuid = change.photo.uuid
    needed, _ = change_of(app.read(uuid), change.wanted, change.own, replace=replace)
    if needed:
        app.write(uuid, needed)
    return needed


def _caption(output: Path) -> str:
    try:
        content = read_output(output)
        return "" if content is None else decode_text(content, output)
    except OutputError:
        # The run has told about it, or will be told by the photo's job.
        return ""


def _is_list(job: Job) -> bool:
    delivery = job.parsed_delivery()
    return delivery.keywords and not delivery.joins


def _own_texts(job: Job | None, written: Sequence[WrittenText], *, as_keywords: bool) -> tuple[PhotoTexts, ...]:
    captions = [text.addition for text in written]
    captions += [text for text in (job.new_text, job.edited_text) if text] if job is not None else []
    return tuple(texts_of(caption, as_keywords=as_keywords) for caption in dict.fromkeys(captions))
