"""A caption run from its paths to its exit status: find, queue, follow, sum up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import ClassVar

from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.report import make_report
from cli.runs.batch_progress import BatchProgress
from cli.runs.followed_jobs import Followed
from cli.runs.images.ready_parts import ready_parts
from cli.runs.images.run_images import FolderImages, RunImages
from cli.runs.images.watched_folders import arriving_images, waiting_line
from cli.runs.left_jobs import LeftJobs
from cli.runs.model_check import check_model
from cli.runs.processes.services import Services, services
from cli.runs.processes.worker_restarts import WorkerProcess
from cli.runs.run_table import RunTable
from cli.runs.sample import SampleOptions, stages
from jobs.captions.outputs.embedding import is_embedded
from jobs.configuration.settings import Settings
from jobs.creation.chosen_images import choose
from jobs.creation.existing_texts import AlreadyAdded, PendingImage, SkippedImage, WrittenByHand, plan_images
from jobs.creation.folder_run import FolderRun, Submission
from jobs.creation.question import Question
from jobs.creation.run_locks import RunLocks
from jobs.images.walking.folder_images import FoundImages, by_folder
from jobs.options.caption_options import CaptionOptions
from jobs.store.store import Store
from jobs.store.tables import Batch


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
        images: RunImages | None = None,
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
            images: of the run; None: those of the paths.
        """
        self._settings = settings
        self._question = question
        self._options = options
        self._images = images or FolderImages(options)
        self._strict = strict
        self._sample = sample or SampleOptions()
        self._worker = worker
        self._table = table
        self._report = make_report(as_json=as_json, one_image=one_image)
        self._report.writes_text = options.writes_text

    @property
    def headline(self) -> str:
        """The run in a line, once it has ended."""
        return self._report.headline

    def caption(self, paths: Sequence[Path], *, description: str) -> int:
        """Caption the images of the paths, and print progress and summary. `description`: of the run, for people.

        Returns the exit status. Raises CaptionqError if the run itself cannot go on.
        """
        check_model(self._question.model, self._report.note)
        store, runs = Store(self._settings), RunLocks(self._settings)
        try:
            left = LeftJobs(self._settings, store, runs, self._worker)
            parts = ready_parts(left.cancel(self._find(paths, store)))
            first = next(parts, None)
            if first is None and not self._report.skipped:
                self._report.found_nothing(description)
                return SOME_FAILED
            if first is not None:
                with services(self._settings, self._worker) as running:
                    if not self._queue_and_follow(
                        chain([first], parts), self._batch(description), store, runs, running
                    ):
                        return INTERRUPTED
            self._report.sum_up()
            self._write_table(store)
            runs.tidy({batch.id for batch in store.open_batches()})
        finally:
            store.close()
        return self._status()

    def watch(self, paths: Sequence[Path], *, description: str) -> int:
        """Caption the images of the paths as `caption` does, then images that come, until Ctrl-C. Returns the exit status."""
        check_model(self._question.model, self._report.note)
        store, runs = Store(self._settings), RunLocks(self._settings)
        left = LeftJobs(self._settings, store, runs, self._worker)
        # A caption that is written into an image changes the image.
        is_own = partial(is_embedded, store=store)
        try:
            with services(self._settings, self._worker) as running, suppress(KeyboardInterrupt):
                is_said = False
                for arrived in arriving_images(paths, self._options, self._report.left_out, is_own):
                    planned = left.cancel(self._plan(by_folder(arrived), paths, store))
                    wanted = [one for one in planned if isinstance(one, PendingImage)]
                    if wanted and not self._queue_and_follow([wanted], self._batch(description), store, runs, running):
                        self._write_table(store)
                        return INTERRUPTED
                    if wanted or not is_said:
                        self._report.note(waiting_line(self._report.captioned, self._report.failed))
                        is_said = True
            self._report.sum_up()
            self._write_table(store)
            runs.tidy({batch.id for batch in store.open_batches()})
        finally:
            store.close()
        return self._status()

    def _write_table(self, store: Store) -> None:
        # A watch that ends before its first look leaves an earlier table as it is.
        if self._table is not None and self._table.has_images:
            self._report.note(self._table.write(store))

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

    def _find(self, paths: Sequence[Path], store: Store) -> Iterator[PendingImage | SkippedImage]:
        return self._plan(self._images.find(paths, self._report.left_out), paths, store)

    def _plan(
        self, images: Iterable[FoundImages], named: Sequence[Path], store: Store
    ) -> Iterator[PendingImage | SkippedImage]:
        """Yield the images of the run as they are found. Those that are skipped are counted."""
        planned = plan_images(
            images,
            self._options,
            store=store,
            digest_of=self._question.digest_of,
            named=named,
            places=self._images.places,
            look_only=self.LOOK_ONLY,
        )
        for one in choose(planned, self._options):
            if self._table is not None:
                self._table.add(one)
            if isinstance(one, SkippedImage):
                self._report.skipped += 1
                self._report.by_hand += isinstance(one, WrittenByHand)
                self._report.added += isinstance(one, AlreadyAdded)
            yield one

    def _queue_and_follow(
        self, parts: Iterable[list[PendingImage]], batch: Batch, store: Store, runs: RunLocks, running: Services
    ) -> bool:
        """Queue the images as they are found, and report their jobs until all have ended. Returns False after Ctrl-C."""
        # The batch is held until the run's own worker has put its running jobs back. Another run may take them over then.
        with runs.hold(batch):
            progress = BatchProgress(batch, self._report, store, running)
            run = FolderRun(
                self._question,
                batch,
                store=store,
                connection=running.connection,
                dead=runs.dead(store.open_batches()),
                # Jobs that an earlier run left in the queue can wait: a person is watching this run.
                at_front=running.own_worker,
                settings=self._settings,
            )
            try:
                run.begin()
                jobs = partial(store.finished_after, batch.id, 0)
                for stage in stages(parts, self._sample, jobs, self._report):
                    with self._report.following():
                        submission = self._submit(stage, run, progress, running)
                        progress.follow(Followed(submission.followed, batch, store, runs))
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
        self, parts: Iterable[list[PendingImage]], run: FolderRun, progress: BatchProgress, running: Services
    ) -> Submission:
        """Queue images that are not queued yet, and report the jobs that end meanwhile."""
        for part in parts:
            running.ensure()
            run.add(part)
            if run.has_jobs:
                self._report.batch_id = run.batch.id
            self._report.found(len(part))
            progress.look()
        submission = run.take_submission()
        self._report.found_all(submission)
        return submission
