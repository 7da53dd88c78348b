"""The work behind the tools, without the protocol: jobs are made, waited for, and found again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.to_thread import run_sync
from redis.exceptions import RedisError

from cli.mcp.served_files import ServedFiles
from cli.mcp.shapes import Answer, BatchStatus, BatchStatuses, Caption, CaptionResult, FoundCaptions
from cli.output.job_fields import reason_of
from cli.runs.processes.services import Services
from jobs.captions.field_values import field_values
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel, cancel_run
from jobs.creation.create import JOBS_A_TRANSACTION, Creation, create
from jobs.creation.large_batch import make_batch
from jobs.creation.question import Question, answer_job
from jobs.errors import CaptionqError, InvalidRequestError, ModelUnavailableError
from jobs.models.model_info import check_sees, describe, is_here
from jobs.options.ask_options import AskOptions
from jobs.options.caption_options import QuestionOptions
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart, path_of
from jobs.store.pictures.found_captions import found_captions
from jobs.store.queries.batch_list import CountedBatch, newest_batches
from jobs.store.queries.run_pictures import PictureChoice, Show, picture_ids
from jobs.store.rows.job_counts import open_in
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, BatchKind, Job, JobStatus, Lane

#: Pictures whose captions a call waits for. More are captioned in the background.
WAITED_FOR = 16
#: Seconds that a call waits before it returns what there is: clients give up after a minute or more.
PATIENCE = 300.0
#: Seconds between two looks at jobs that are waited for.
LOOK_EVERY = 0.2
#: Newest batches of a list, and failed pictures that are named.
SHOWN_BATCHES, SHOWN_FAILURES = 5, 10


class CaptionTools:
    """The tools on one data folder and one model. The worker starts with the first picture, and stays for `ask_linger`."""

    def __init__(self, settings: Settings, files: ServedFiles, store: Store) -> None:
        self._settings = settings
        self._files = files
        self._store = store
        self._services: Services | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the broker. The worker goes on with its jobs."""
        if self._services is not None:
            self._services.stop()

    async def caption(
        self, paths: Sequence[str], prompt: str | None, preset: str | None, *, recursive: bool
    ) -> CaptionResult:
        """Queue the pictures of these paths, and wait for a few."""
        batch, jobs = await run_sync(self._queue_captions, paths, prompt, preset, recursive)
        ids = [job.id for job in jobs]
        if len(ids) <= WAITED_FOR:
            try:
                await self._wait(ids)
            except anyio.get_cancelled_exc_class():
                self._take_back(batch)
                raise
        rows = await run_sync(self._store.those, ids[:WAITED_FOR]) if len(ids) <= WAITED_FOR else []
        ended = [_caption_of(job) for job in rows if job.status not in OPEN]
        return CaptionResult(batch_id=batch.id, images=len(ids), waiting=len(ids) - len(ended), captions=ended)

    async def ask(self, images: Sequence[str], question: str) -> Answer:
        """Ask a question about pictures, and wait for the answer. Raises CaptionqError."""
        job = await run_sync(self._queue_question, images, question)
        try:
            await self._wait([job.id])
        except anyio.get_cancelled_exc_class():
            self._cancel(job)
            raise
        ended = await run_sync(self._store.job, job.id)
        if ended.status != JobStatus.SUCCEEDED:
            if ended.status in OPEN:
                self._cancel(job)
                raise ModelUnavailableError(f"There was no answer within {PATIENCE:.0f} s. Ask again later.")
            raise CaptionqError(reason_of(ended))
        return Answer(answer=ended.text or "", finish_reason=ended.finish_reason or "stop")

    def search(self, words: str, limit: int) -> FoundCaptions:
        """Find captions by their words, those of served folders only."""
        captions: list[Caption] = []
        for found in found_captions(self._store.engine, words):
            if (path := self._files.visible_path(found.source)) is None:
                continue
            if len(captions) == limit:
                return FoundCaptions(captions=captions, more=True)
            captions.append(Caption(path=path, caption=found.text))
        return FoundCaptions(captions=captions, more=False)

    def status(self, batch_id: str | None) -> BatchStatuses:
        """Count the pictures of a batch by status, or of the newest ones. Raises NotFoundError."""
        if batch_id is None:
            counted = newest_batches(self._store.engine, SHOWN_BATCHES)
        else:
            counted = [CountedBatch(self._store.batch(batch_id), self._store.counts(batch_id))]
        return BatchStatuses(batches=[self._status_of(one) for one in counted])

    def _status_of(self, one: CountedBatch) -> BatchStatus:
        failures = []
        if one.counts[JobStatus.FAILED]:
            ids = picture_ids(self._store.engine, one.batch.id, PictureChoice(show=Show.FAILED))[:SHOWN_FAILURES]
            failures = [_caption_of(job) for job in self._store.those(ids) if self._files.visible_path(job.source)]
        return BatchStatus(
            batch_id=one.batch.id,
            model=one.batch.model,
            counts={str(status): count for status, count in one.counts.items()},
            done=one.batch.complete and not open_in(one.counts),
            failed=failures,
        )

    def _queue_captions(
        self, paths: Sequence[str], prompt: str | None, preset: str | None, recursive: bool
    ) -> tuple[Batch, list[Job]]:
        self._check_model()
        given = {name: value for name, value in (("prompt", prompt), ("preset", preset)) if value is not None}
        question = Question.of(QuestionOptions(**given), self._settings.model, None)
        images = self._files.images(paths, recursive=recursive)
        if not images:
            raise InvalidRequestError("There are no pictures at these paths.")
        batch = Batch(description=_shown(paths), kind=BatchKind.FOLDER, complete=False, model=question.model)
        jobs = [self._job_about(image, question, batch) for image in images]
        running = self._running()
        make_batch(batch, chunked(jobs, JOBS_A_TRANSACTION), [], store=self._store, connection=running.connection)
        return batch, jobs

    def _job_about(self, image: Path, question: Question, batch: Batch) -> Job:
        """Make the row of a picture. The worker refuses a link that leads out of the served folders."""
        if question.fields:
            values = field_values(image, question.fields, self._settings, roots=self._files.roots)
            question = question.filled({**values, "caption": ""})
        return answer_job(image, question, batch, roots=self._files.stored)

    def _queue_question(self, images: Sequence[str], question: str) -> Job:
        self._check_model()
        if not 1 <= len(images) <= self._settings.max_images:
            raise InvalidRequestError(f"Name 1 to {self._settings.max_images} pictures.")
        addresses = [self._files.address(image) for image in images]
        parts = [ImagePart(image_url=ImageURL(url=address)) for address in addresses]
        message = Message(role="user", content=[*parts, TextPart(text=question)])
        request = Request(model=self._settings.model, messages=[message], sampling=AskOptions().sampling)
        job = Job(
            lane=Lane.INTERACTIVE,
            model=request.model,
            request=request.model_dump_json(),
            digest=request.digest,
            source=addresses[0],
            roots=self._files.stored,
        )
        create(Creation([job]), store=self._store, connection=self._running().connection, settings=self._settings)
        return job

    def _check_model(self) -> None:
        """Refuse a model that is not here: a call is no place for a download of gigabytes. Raises ModelError."""
        name = self._settings.model
        if not is_here(name):
            raise ModelUnavailableError(
                f"'{name}' is not on this machine. Download it first: captionq models pull {name}"
            )
        check_sees(describe(name))

    def _running(self) -> Services:
        """Return broker and worker, started if they are not running."""
        with self._lock:
            if self._services is None:
                self._services = Services(self._settings, lingers=True)
            self._services.ensure()
            return self._services

    async def _wait(self, ids: Sequence[str]) -> None:
        """Wait until these jobs have ended, at most for PATIENCE. Raises BrokerError, WorkerError."""
        with anyio.move_on_after(PATIENCE):
            while any(status in OPEN for status in (await run_sync(self._store.statuses, ids)).values()):
                await run_sync(self._running)
                await anyio.sleep(LOOK_EVERY)

    def _take_back(self, batch: Batch) -> None:
        with suppress(RedisError):
            cancel_run(batch.id, store=self._store, connection=self._running().connection)

    def _cancel(self, job: Job) -> None:
        with suppress(RedisError):
            cancel([job.id], store=self._store, connection=self._running().connection)


def _caption_of(job: Job) -> Caption:
    """Return the caption of a picture that the client may see, or has named itself."""
    path = str(path_of(job.source or ""))
    if job.status == JobStatus.SUCCEEDED:
        return Caption(path=path, caption=job.edited_text or job.text)
    return Caption(path=path, error=reason_of(job))


def _shown(paths: Sequence[str]) -> str:
    """Return the paths of a call for people."""
    return ", ".join(paths[:3]) + (" …" if len(paths) > 3 else "")
