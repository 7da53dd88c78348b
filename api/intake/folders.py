"""From a path, or from uploaded files, to a batch of queued jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from api.intake.images import check_served
from api.intake.jobs import check_free, roots_of, scoped
from api.intake.webhooks import webhook_for
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.folder import FolderBody, FolderOptions
from jobs.chunks import chunked
from jobs.creation.backpressure import check_room
from jobs.creation.create import JOBS_A_TRANSACTION, Created
from jobs.creation.existing_texts import Existing, PendingImage, SkippedImage, plan_images
from jobs.creation.idempotency import find_repeated_batch
from jobs.creation.large_batch import make_batch
from jobs.creation.question import Question, job_about
from jobs.errors import InvalidRequestError, NotFoundError
from jobs.images.blobs import blob_address, put_image_file
from jobs.images.folder_walk import find_images
from jobs.images.safe_names import clean_label
from jobs.images.zip_upload import UnpackedImage, too_many_files, unpack_images
from jobs.models.model_info import check_sees
from jobs.store.tables import Batch, BatchKind, Job, Lane, Webhook

#: How a zip begins, also an empty one.
ZIP = (b"PK\x03\x04", b"PK\x05\x06")

T = TypeVar("T")


class FolderIntake:
    """One folder of one caller on its way into the queue."""

    def __init__(
        self, options: FolderOptions, resources: Resources, caller: Caller, idempotency_key: str | None
    ) -> None:
        """Raises ModelError, InvalidRequestError."""
        info = resources.catalogue.resolve(options.model)
        check_sees(info)
        self._options = options
        self._resources = resources
        self._question: Question = options.question(info.name)
        self._key = scoped(idempotency_key, caller, BatchKind.FOLDER)

    def path(self, body: FolderBody) -> Created:
        """Every image below a path. Raises ImageForbiddenError, NotFoundError, LaneFullError, ConflictError."""
        real = check_served(Path(body.path), self._resources.settings)
        if not _exists(real):
            raise NotFoundError(f"There is no {body.path}.")
        batch = self._batch(str(real), body.model_dump_json())
        if (earlier := self._earlier(batch)) is not None:
            return earlier
        hooks = self._hooks(batch)
        images = find_images([real], recursive=body.recursive, roots=self._resources.settings.served_roots)
        found = list(
            plan_images(images, Existing(body.existing), store=self._resources.store, force=body.force, named=[real])
        )
        wanted = [one for one in found if isinstance(one, PendingImage)]
        skipped = [one.output.as_uri() for one in found if isinstance(one, SkippedImage)]
        self._check_room(len(wanted))
        check_free([one.output.as_uri() for one in wanted], self._resources, skipped=skipped)
        roots = roots_of(self._resources)
        return self._made(batch, wanted, lambda one: job_about(one, self._question, batch, roots), hooks)

    def uploads(self, files: Sequence[tuple[str, BinaryIO]]) -> Created:
        """Every image of these files and zips. Raises ImageError, ArchiveError, LaneFullError, ConflictError."""
        images = self._taken(files)
        if not images:
            raise InvalidRequestError("There are no files in the upload: they are parts named 'files'.")
        names = ", ".join(clean_label(name) for name, _ in files[:3]) + (" …" if len(files) > 3 else "")
        asked = "".join(image.sha256 for image in images) + self._options.model_dump_json()
        batch = self._batch(names, asked)
        if (earlier := self._earlier(batch)) is not None:
            return earlier
        hooks = self._hooks(batch)
        self._check_room(len(images))
        return self._made(batch, images, lambda image: self._job(batch, image), hooks)

    def _earlier(self, batch: Batch) -> Created | None:
        """What was made with the same key: found whether there is room for it or not."""
        earlier = find_repeated_batch(batch, store=self._resources.store, connection=self._resources.connection)
        return None if earlier is None else Created(earlier, repeated=True)

    def _check_room(self, count: int) -> None:
        check_room(self._resources.connection, Lane.BULK, count, self._resources.settings)

    def _made(self, batch: Batch, items: Sequence[T], job_of: Callable[[T], Job], hooks: Sequence[Webhook]) -> Created:
        chunks = ([job_of(item) for item in chunk] for chunk in chunked(items, JOBS_A_TRANSACTION))
        return make_batch(batch, chunks, hooks, store=self._resources.store, connection=self._resources.connection)

    def _batch(self, description: str, asked: str) -> Batch:
        return Batch(
            description=description,
            kind=BatchKind.FOLDER,
            complete=False,
            model=self._question.model,
            idempotency_key=self._key,
            digest=hashlib.sha256(asked.encode(errors="replace")).hexdigest(),
        )

    def _hooks(self, batch: Batch) -> list[Webhook]:
        """To be added when all jobs are there: a batch without open jobs has ended."""
        return webhook_for(self._options.webhook, self._resources, batch_id=batch.id)

    def _taken(self, files: Sequence[tuple[str, BinaryIO]]) -> list[UnpackedImage]:
        settings = self._resources.settings
        taken: list[UnpackedImage] = []
        for name, file in files:
            start = file.read(4)
            file.seek(0)
            if start in ZIP:
                taken += unpack_images(file, settings, taken)
                continue
            if len(taken) >= settings.max_upload_files:
                raise too_many_files(settings)
            sha256, size = put_image_file(file, settings)
            taken.append(UnpackedImage(clean_label(name), sha256, size))
        return taken

    def _job(self, batch: Batch, image: UnpackedImage) -> Job:
        request = self._question.about(blob_address(image.sha256))
        return Job(
            batch_id=batch.id,
            lane=Lane.BULK,
            model=request.model,
            request=request.model_dump_json(),
            digest=request.digest,
            source=image.name,
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # A name that is too long, or a folder that may not be searched.
        return False
