"""From the path of a folder, or from uploaded files, to a batch of queued jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path, PurePath
from typing import BinaryIO, TypeVar

from api.intake.idempotency_key import scoped_key
from api.intake.images import check_served
from api.intake.jobs import served_roots, webhook_for
from api.intake.output_conflicts import check_outputs_free
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.folder import FolderBody, FolderOptions
from jobs.captions.field_values import field_values
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.backpressure import check_room
from jobs.creation.chosen_images import choose, choose_rows
from jobs.creation.create import JOBS_A_TRANSACTION, Created
from jobs.creation.existing_texts import PendingImage, SkippedImage, plan_images
from jobs.creation.idempotency import find_repeated_batch
from jobs.creation.large_batch import make_batch
from jobs.creation.question import Question, answer_job, job_about
from jobs.errors import InvalidRequestError, NotFoundError
from jobs.images.stored.blobs import blob_address, put_image_file
from jobs.images.stored.safe_names import clean_label
from jobs.images.stored.zip_directory import ZIP_SIGNATURES
from jobs.images.stored.zip_upload import UnpackedImage, too_many_files, unpack_images
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_by_folder
from jobs.models.model_info import check_sees
from jobs.requests import address_of
from jobs.store.tables import Batch, BatchKind, Job, Lane
from jobs.store.webhooks.webhook_table import Webhook

T = TypeVar("T")


class FolderIntake:
    """A folder of one caller on its way into the queue."""

    def __init__(
        self, options: FolderOptions, resources: Resources, caller: Caller, idempotency_key: str | None
    ) -> None:
        """Check the options. Raises ModelError, InvalidRequestError."""
        info = resources.catalogue.resolve(options.model, options.adapter)
        check_sees(info)
        self._options = options
        self._resources = resources
        self._questions: list[Question] = options.asked(info.name)
        #: The `Idempotency-Key` as it is stored.
        self.key = scoped_key(idempotency_key, caller, BatchKind.FOLDER)

    def queue_path(self, body: FolderBody, *, may_be_empty: bool = True) -> Created:
        """Queue every image below a path.

        Args:
            body: the path and the options.
            may_be_empty: make the batch also if no image needs a text.

        Raises ImageForbiddenError, NotFoundError, LaneFullError, ConflictError; InvalidRequestError for an empty batch.
        """
        real = check_served(Path(body.path), self._resources.settings)
        if not _exists(real):
            raise NotFoundError(f"{body.path} does not exist.")
        only = FileFilter.of(body)
        batch = self._batch(str(real), body.model_dump_json())
        if (earlier := self._earlier(batch)) is not None:
            return earlier
        hooks = self._hooks(batch)
        roots = self._resources.settings.served_roots
        images = find_by_folder([real], recursive=body.recursive, roots=roots, only=only)
        allowed = served_roots(self._resources)
        if body.questions:
            rows = choose_rows((image for found in images for image in found.paths), body)
            return self._queue_table(batch, list(rows), allowed, hooks)
        digest_of = self._questions[0].digest_of
        planned = plan_images(images, body, store=self._resources.store, digest_of=digest_of, named=[real])
        found = list(choose(planned, body))
        wanted = [one for one in found if isinstance(one, PendingImage)]
        skipped = [address_of(one.output) for one in found if isinstance(one, SkippedImage)]
        if not wanted and not may_be_empty:
            raise nothing_to_caption(len(skipped))
        self._check_room(len(wanted))
        check_outputs_free([address_of(one.output) for one in wanted], self._resources, skipped=skipped)
        question, settings = self._questions[0], self._resources.settings
        return self._made(batch, wanted, lambda one: job_about(one, question, batch, allowed, settings=settings), hooks)

    def _queue_table(self, batch: Batch, images: Sequence[Path], roots: str, hooks: Sequence[Webhook]) -> Created:
        """Queue all questions about each image. Raises LaneFullError."""
        cells = list(product(images, self._questions))
        self._check_room(len(cells))
        return self._made(batch, cells, lambda cell: answer_job(cell[0], cell[1], batch, roots=roots), hooks)

    def queue_uploads(self, files: Sequence[tuple[str, BinaryIO]]) -> Created:
        """Queue every image of these files and zips. Raises ImageError, ArchiveError, LaneFullError, ConflictError."""
        images = self._stored(files)
        if not images:
            raise InvalidRequestError("The upload has no files. Send them as parts named 'files'.")
        names = ", ".join(clean_label(name) for name, _ in files[:3]) + (" …" if len(files) > 3 else "")
        return self.queue_stored(images, names)

    def queue_stored(self, images: Sequence[UnpackedImage], names: str) -> Created:
        """Queue images that are stored already. `names`: of the upload, for people. Raises LaneFullError, ConflictError."""
        asked = "".join(image.sha256 for image in images) + self._options.model_dump_json()
        batch = self._batch(names, asked)
        if (earlier := self._earlier(batch)) is not None:
            return earlier
        hooks = self._hooks(batch)
        cells = list(product(images, self._questions))
        self._check_room(len(cells))
        return self._made(
            batch,
            cells,
            lambda cell: uploaded_job(cell[0], cell[1], batch, self._resources.settings),
            hooks,
        )

    def _earlier(self, batch: Batch) -> Created | None:
        """Return the batch that was made earlier with the same key, whether the lane has room or not."""
        earlier = find_repeated_batch(batch, store=self._resources.store, connection=self._resources.connection)
        return None if earlier is None else Created(earlier, repeated=True)

    def _check_room(self, count: int) -> None:
        check_room(self._resources.store, self._resources.connection, Lane.BULK, count, self._resources.settings)

    def _made(self, batch: Batch, items: Sequence[T], job_of: Callable[[T], Job], hooks: Sequence[Webhook]) -> Created:
        chunks = ([job_of(item) for item in chunk] for chunk in chunked(items, JOBS_A_TRANSACTION))
        return make_batch(batch, chunks, hooks, store=self._resources.store, connection=self._resources.connection)

    def _batch(self, description: str, asked: str) -> Batch:
        return Batch(
            description=description,
            kind=BatchKind.FOLDER,
            priority=self._options.priority,
            complete=False,
            model=self._questions[0].model,
            idempotency_key=self.key,
            digest=hashlib.sha256(asked.encode(errors="replace")).hexdigest(),
        )

    def _hooks(self, batch: Batch) -> list[Webhook]:
        """Return the webhook, to be stored after all jobs: a batch without open jobs counts as ended."""
        return webhook_for(self._options.webhook, self._resources, batch_id=batch.id)

    def _stored(self, files: Sequence[tuple[str, BinaryIO]]) -> list[UnpackedImage]:
        settings = self._resources.settings
        stored: list[UnpackedImage] = []
        for name, file in files:
            start = file.read(4)
            file.seek(0)
            if start in ZIP_SIGNATURES:
                stored += unpack_images(file, settings, stored)
                continue
            if len(stored) >= settings.max_upload_files:
                raise too_many_files(settings)
            sha256, size = put_image_file(file, settings)
            stored.append(UnpackedImage(clean_label(name), sha256, size))
        return stored


def nothing_to_caption(skipped: int) -> InvalidRequestError:
    """Make the error of a folder in which no image needs a text. `skipped`: images that have one."""
    if skipped:
        return InvalidRequestError(
            f"All {skipped} pictures of this folder have texts already, and keep them. Choose what happens to existing texts."
        )
    return InvalidRequestError("There are no pictures in this folder that these options take.")


def uploaded_job(image: UnpackedImage, question: Question, batch: Batch, settings: Settings) -> Job:
    """Make the row of an uploaded image. The fields of a prompt are filled from its label and its metadata."""
    address = blob_address(image.sha256)
    if question.fields:
        values = field_values(PurePath(image.name), question.fields, settings, address=address)
        question = question.filled({**values, "caption": ""})
    return answer_job(address, question, batch, name=image.name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # The name is too long, or a folder on the way may not be searched.
        return False
