"""The pictures of a new run: those of a tray, or those of a served folder that need a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.intake.folders import nothing_to_caption, uploaded_job
from api.intake.jobs import served_roots
from api.pages.start.folder_browser import TimedFilter, TimeUpError, served_folder
from api.runtime.resources import Resources
from api.schemas.folder import FolderBody
from jobs.creation.chosen_images import choose, evenly_spaced
from jobs.creation.existing_texts import PendingImage, plan_images
from jobs.creation.question import Question, job_about
from jobs.errors import InvalidRequestError
from jobs.images.stored.upload_tray import UploadTray
from jobs.images.stored.zip_upload import UnpackedImage
from jobs.images.walking.folder_images import FoundImages
from jobs.images.walking.folder_walk import find_by_folder
from jobs.store.tables import Batch, Job

#: Seconds for finding the pictures of a sample.
LOOK_SECONDS = 2.0
#: Pictures of a sample.
SAMPLE = 3


@dataclass(frozen=True)
class Sampled:
    """The jobs of a sample, not queued yet, and the pictures of the whole run."""

    jobs: list[Job]
    #: Pictures that the run would caption.
    pictures: int
    #: Pictures that keep the text that they have.
    skipped: int = 0
    #: Whether all pictures were found in time.
    is_whole: bool = True


def pictures_of(tray: UploadTray) -> list[UnpackedImage]:
    """Return the pictures of a tray. Raises InvalidRequestError if there are none."""
    pictures = tray.pictures()
    if not pictures:
        raise InvalidRequestError("There are no pictures yet. Drop some, choose files, or pick a served folder.")
    return pictures


def title_of(pictures: Sequence[UnpackedImage]) -> str:
    """Name an upload for people: by the folder that all of its pictures lie in, or by the first of them."""
    tops = {one.name.partition("/")[0] if "/" in one.name else None for one in pictures}
    top = tops.pop() if len(tops) == 1 else None
    return top or ", ".join(one.name for one in pictures[:3]) + (" …" if len(pictures) > 3 else "")


def sample_of_tray(tray: UploadTray, question: Question, batch: Batch, resources: Resources) -> Sampled:
    """Make the jobs of a sample of uploaded pictures. Raises InvalidRequestError."""
    pictures = pictures_of(tray)
    chosen, _ = evenly_spaced(pictures, SAMPLE)
    return Sampled([uploaded_job(one, question, batch, resources.settings) for one in chosen], len(pictures))


def sample_of_folder(body: FolderBody, question: Question, batch: Batch, resources: Resources) -> Sampled:
    """Make the jobs of a sample of a served folder. Nothing is written beside the pictures.

    Raises ImageForbiddenError, NotFoundError, InvalidRequestError.
    """
    real = served_folder(body.path, resources.settings)
    only = TimedFilter.of(body)
    only.until = time.monotonic() + LOOK_SECONDS
    roots = resources.settings.served_roots
    walk = _Walk(find_by_folder([real], recursive=body.recursive, roots=roots, only=only))
    planned = plan_images(walk, body, store=resources.store, digest_of=question.digest_of, named=[real], look_only=True)
    found = list(choose(planned, body))
    wanted = [one for one in found if isinstance(one, PendingImage)]
    if not wanted:
        if not walk.is_whole:
            raise InvalidRequestError("No picture that needs a text was found in time. Choose a folder further down.")
        raise nothing_to_caption(len(found))
    chosen, _ = evenly_spaced(wanted, SAMPLE)
    allowed, settings = served_roots(resources), resources.settings
    jobs = [job_about(one, question, batch, allowed, settings=settings) for one in chosen]
    for job in jobs:
        # Only the run itself writes files.
        job.output = job.output_before = None
    return Sampled(jobs, len(wanted), len(found) - len(wanted), walk.is_whole)


class _Walk:
    """The pictures of a walk up to the moment when its time is up."""

    def __init__(self, images: Iterator[FoundImages]) -> None:
        self._images = images
        self.is_whole = True

    def __iter__(self) -> Iterator[FoundImages]:
        try:
            yield from self._images
        except TimeUpError:
            self.is_whole = False
