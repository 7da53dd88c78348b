"""A caption run from its paths to its exit status: find, queue, follow, sum up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from redis.exceptions import RedisError

from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.report import make_report
from cli.runs.batch_progress import BatchProgress
from cli.runs.followed_jobs import Followed
from cli.runs.model_check import check_model
from cli.runs.processes.services import Services, services
from cli.runs.processes.worker_restarts import WorkerProcess
from cli.runs.run_table import RunTable
from cli.runs.sample import SampleOptions, parts
from cli.runs.watched_folders import arriving_images
from jobs.configuration.settings import Settings
from jobs.creation.cancel import announce
from jobs.creation.chosen_images import choose
from jobs.creation.existing_texts import AlreadyAdded, PendingImage, SkippedImage, WrittenByHand, plan_images
from jobs.creation.folder_run import submit
from jobs.creation.question import Question
from jobs.creation.run_locks import RunLocks
from jobs.errors import BrokerError
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_images
from jobs.options.caption_options import CaptionOptions
from jobs.queue import broker
from jobs.requests import address_of
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, JobStatus
from worker.lock import is_running


class CaptionRun:
    """One `captionq caption`."""

    #: Whether the images and their folders are only looked at.
    LOOK_ONLY: ClassVar[bool] = False

    def __init__(
        self,
        settings: Settings,
        question: Question,
        options: CaptionOptions,
        *,
        as_json: bool,
        strict: bool = False,
        one_image: bool = False,
        sample: SampleOptions | None = None,
        worker: WorkerProcess | None = None,
        table: RunTable | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            options: choose the images, and say which texts stay.
            as_json: print an object a line.
            strict: exit with 1 also if an answer looks wrong.
            one_image: the run is about one image, whose answer is printed.
            sample: images that are captioned and shown before the others; None: none.
            worker: the run's worker, if it was started already. It waits for the broker.
            table: is written when the run ends.
        """
        self._settings = settings
        self._question = question
        self._options = options
        self._only = FileFilter.of(options)
        self._strict = strict
        self._sample = sample or SampleOptions()
        self._worker = worker
        self._table = table
        self._report = make_report(as_json=as_json, one_image=one_image)

    def caption(self, paths: Sequence[Path], *, description: str) -> int:
        """Caption the images of the paths, and print progress and summary. `description`: of the run, for people.

        Returns the exit status. Raises CaptionqError if the run itself cannot go on.
        """
        check_model(self._question.model, self._report.note)
        store, runs = Store(self._settings), RunLocks(self._settings)
        try:
            wanted, skipped = self._find(paths, store)
            if not wanted and not skipped:
                self._report.found_nothing(description)
                return SOME_FAILED
            self._cancel_abandoned(skipped, store, runs)
            if wanted:
                with services(self._settings, self._worker) as running:
                    if not self._queue_and_follow(wanted, self._batch(description), store, runs, running):
                        return INTERRUPTED
            self._report.sum_up()
            if self._table is not None:
                self._report.note(self._table.write(store))
            runs.tidy({batch.id for batch in store.open_batches()})
        finally:
            store.close()
        return self._status()

    def watch(self, paths: Sequence[Path], *, description: str) -> int:
        """Caption the images of the paths as `caption` does, then images that come, until Ctrl-C. Returns the exit status."""
        check_model(self._question.model, self._report.note)
        store, runs = Store(self._settings), RunLocks(self._settings)
        try:
            with services(self._settings, self._worker) as running, suppress(KeyboardInterrupt):
                for arrived in arriving_images(paths, self._options, self._report.left_out):
                    wanted, skipped = self._plan(arrived, paths, store)
                    self._cancel_abandoned(skipped, store, runs)
                    if wanted and not self._queue_and_follow(wanted, self._batch(description), store, runs, running):
                        return INTERRUPTED
                    self._report.note("Watching for new images. To stop, press Ctrl-C.")
            self._report.sum_up()
            runs.tidy({batch.id for batch in store.open_batches()})
        finally:
            store.close()
        return self._status()

    def _batch(self, description: str) -> Batch:
        return Batch(
            description=description.encode(errors="replace").decode(),
            model=self._question.model,
            priority=self._options.priority,
        )

    def _status(self) -> int:
        report = self._report
        wrong = report.failed or report.refused or (self._strict and report.doubtful)
        return SOME_FAILED if wrong else ALL_CAPTIONED

    def _find(self, paths: Sequence[Path], store: Store) -> tuple[list[PendingImage], list[SkippedImage]]:
        images = find_images(paths, recursive=self._options.recursive, only=self._only, left_out=self._report.left_out)
        return self._plan(images, paths, store)

    def _plan(
        self, images: Iterable[Path], named: Sequence[Path], store: Store
    ) -> tuple[list[PendingImage], list[SkippedImage]]:
        wanted: list[PendingImage] = []
        skipped: list[SkippedImage] = []
        planned = plan_images(
            images,
            self._options,
            store=store,
            digest_of=self._question.digest_of,
            named=named,
            look_only=self.LOOK_ONLY,
        )
        for one in choose(planned, self._options):
            if self._table is not None:
                self._table.add(one)
            if isinstance(one, PendingImage):
                wanted.append(one)
            else:
                skipped.append(one)
                self._report.by_hand += isinstance(one, WrittenByHand)
                self._report.added += isinstance(one, AlreadyAdded)
        self._report.skipped += len(skipped)
        return wanted, skipped

    def _cancel_abandoned(self, skipped: Sequence[SkippedImage], store: Store, runs: RunLocks) -> None:
        """Cancel jobs that dead runs left for images that have their texts now: the next worker would write these texts again."""
        if not skipped or not (dead := runs.dead(store.open_batches())):
            return
        # A live worker may have written the text of a running job just now, and be about to commit the result.
        leaving = (JobStatus.QUEUED,) if self._worker_may_write() else OPEN
        cancelled = store.cancel_abandoned((address_of(one.output) for one in skipped), dead, leaving)
        # The rows decide: a worker drops the entries of jobs that have ended.
        with suppress(BrokerError, RedisError):
            if cancelled and (connection := broker.find(self._settings)) is not None:
                announce(cancelled, store=store, connection=connection)

    def _worker_may_write(self) -> bool:
        # The run's own worker does nothing before there is a broker.
        waits = self._worker is not None and self._worker.is_running and broker.find(self._settings) is None
        return not waits and is_running(self._settings)

    def _queue_and_follow(
        self, wanted: list[PendingImage], batch: Batch, store: Store, runs: RunLocks, running: Services
    ) -> bool:
        """Queue the images and report their jobs until all have ended. Returns False after Ctrl-C."""
        # The batch is held until the run's own worker has put its running jobs back. Another run may take them over then.
        with runs.hold(batch):
            progress = BatchProgress(batch, self._report, store, running)
            try:
                jobs = partial(store.finished_after, batch.id, 0)
                submitted = 0
                for part in parts(wanted, self._sample, jobs, self._report):
                    with self._report.following(len(part)):
                        running.ensure()
                        followed = self._submit(part, batch, store, runs, running, before=submitted)
                        submitted += len(part)
                        progress.follow(followed)
            except KeyboardInterrupt:
                if running.own_worker:
                    # Jobs end until the worker has.
                    self._report.note("\nStopping …")
                    running.stop_worker()
                progress.report_ended()
                self._report.interrupted(own_worker=running.own_worker)
                return False
        return True

    def _submit(
        self, wanted: list[PendingImage], batch: Batch, store: Store, runs: RunLocks, running: Services, *, before: int
    ) -> Followed:
        """Queue the images that are not queued yet. Returns the jobs of other runs that this run follows.

        `before`: the number of images that were submitted earlier.
        """
        submission = submit(
            wanted,
            self._question,
            batch,
            store=store,
            connection=running.connection,
            dead=runs.dead(store.open_batches()),
            # Jobs that an earlier run left in the queue can wait: a person is watching this run.
            at_front=running.own_worker,
            before=before,
            settings=self._settings,
        )
        if submission.queued or submission.resumed:
            self._report.batch_id = batch.id
        self._report.found_others(submission)
        return Followed(submission.followed, batch, store, runs)
