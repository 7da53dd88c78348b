"""From a path, or from uploaded files, to a batch of queued jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from api.auth import Caller
from api.folder_objects import FolderBody, FolderOptions
from api.images import check_served
from api.intake import roots_of, scoped
from api.resources import Resources
from api.webhooks import webhook_for
from jobs.archives import UnpackedImage, too_many_files, unpack_images
from jobs.blobs import blob_address, put_image_file
from jobs.chunks import chunked
from jobs.creation import add_batch_once, check_room, find_repeated, queue_jobs
from jobs.errors import ConflictError, InvalidRequestError, NotFoundError
from jobs.folders import find_images
from jobs.labels import clean_label
from jobs.models import check_sees, public_name
from jobs.submission import CHUNK, Existing, Question, Wanted, job_about, without_text
from jobs.tables import Batch, BatchKind, Job, Lane, Webhook
from jobs.webhook_store import WebhookStore

#: How a zip begins, also an empty one.
ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class FolderIntake:
    """One folder of one caller on its way into the queue."""

    def __init__(
        self, options: FolderOptions, resources: Resources, caller: Caller, idempotency_key: str | None
    ) -> None:
        """Raises ModelError, InvalidRequestError."""
        info = resources.catalogue.resolve(options.model)
        check_sees(replace(info, name=public_name(info.name)))
        self._options = options
        self._resources = resources
        self._question: Question = options.question(info.name)
        self._key = scoped(idempotency_key, caller, BatchKind.FOLDER)

    def path(self, body: FolderBody) -> tuple[Batch, bool]:
        """Every image below a path; True: it was made before. Raises ImageForbiddenError, NotFoundError, LaneFullError."""
        real = check_served(Path(body.path), self._resources.settings)
        if not _exists(real):
            raise NotFoundError(f"There is no {body.path}.")
        batch = self._batch(str(real), body.model_dump_json())
        images = find_images([real], recursive=body.recursive)
        wanted = [one for one in without_text(images, Existing(body.existing)) if one is not None]
        store, connection = self._resources.store, self._resources.connection
        check_room(connection, Lane.BULK, len(wanted), self._resources.settings)
        hooks = self._hooks(batch)
        if find_repeated(store, batch) is None:
            self._check_free(wanted)
        if (earlier := add_batch_once(store, batch)) is not None:
            return earlier, True
        roots = roots_of(self._resources)
        for chunk in chunked(wanted, CHUNK):
            jobs = [job_about(one, self._question, batch, roots) for one in chunk]
            queue_jobs(jobs, store=store, connection=connection)
        self._close(batch, hooks)
        return batch, False

    def uploads(self, files: Sequence[tuple[str, BinaryIO]]) -> tuple[Batch, bool]:
        """Every image of these files and zips. Raises ImageError, ArchiveError, LaneFullError."""
        images = self._taken(files)
        if not images:
            raise InvalidRequestError("There are no files in the upload: they are parts named 'files'.")
        names = ", ".join(name or "?" for name, _ in files[:3]) + (" …" if len(files) > 3 else "")
        asked = "".join(image.sha256 for image in images) + self._options.model_dump_json()
        batch = self._batch(names, asked)
        store, hooks = self._resources.store, self._hooks(batch)
        check_room(self._resources.connection, Lane.BULK, len(images), self._resources.settings)
        if (earlier := add_batch_once(store, batch)) is not None:
            return earlier, True
        for chunk in chunked(images, CHUNK):
            jobs = [self._job(batch, image) for image in chunk]
            queue_jobs(jobs, store=store, connection=self._resources.connection)
        self._close(batch, hooks)
        return batch, False

    def _close(self, batch: Batch, hooks: Sequence[Webhook]) -> None:
        """All jobs are there: now the folder may end, and somebody may be told."""
        self._resources.store.complete(batch.id)
        batch.complete = True
        WebhookStore(self._resources.store.engine).add(hooks)

    def _check_free(self, wanted: Sequence[Wanted]) -> None:
        """Two jobs that write one file would leave the text of whichever ends last. Raises ConflictError."""
        waiting = self._resources.store.open_outputs()
        busy = [waiting[address].id for one in wanted if (address := one.output.as_uri()) in waiting]
        if busy:
            raise ConflictError(
                f"{len(busy)} of these images are being asked about already, by {busy[0]} first. Wait for its end, or cancel it."
            )

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
