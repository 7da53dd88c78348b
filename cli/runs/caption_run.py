"""A caption run from its paths to its exit status: find, queue, follow, sum up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from redis.exceptions import RedisError

from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.report import make_report
from cli.runs.followed_jobs import Followed
from cli.runs.model_check import check_model
from cli.runs.processes.services import Services, services
from cli.runs.processes.worker_restarts import WorkerProcess
from cli.runs.run_table import RunTable
from cli.runs.sample import SampleOptions, parts
from jobs.configuration.settings import Settings
from jobs.creation.cancel import announce
from jobs.creation.chosen_images import choose
from jobs.creation.existing_texts import AlreadyAdded, PendingImage, SkippedImage, WrittenByHand, plan_images
from jobs.creation.folder_run import submit
from jobs.creation.question import Question
from jobs.creation.run_locks import RunLocks
from jobs.errors import BrokerError
from jobs.images.walking.arrivals import Arrivals
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_images
from jobs.images.walking.left_out import LeftOut
from jobs.options.caption_options import CaptionOptions
from jobs.queue import broker
from jobs.queue.events import read
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, Job, JobStatus
from worker.lock import is_running

#: Seconds between two reads of new results.
POLL_EVERY = 0.1
#: Seconds between two looks into watched folders.
LOOK_EVERY = 2.0
#: The worker's steps before the first result, by the name of their events.
_STEPS = {
    "loading": "Loading {}",
    "checking": "Checking how requests to {} can be batched",
    "loaded": "Captioning with {}",
}


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
        #: Position in the order of ends up to which the batch has been reported.
        self._last = 0

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
                for arrived in self._arrivals(paths):
                    wanted, skipped = self._plan(arrived, paths, store)
                    self._cancel_abandoned(skipped, store, runs)
                    self._last = 0
                    if wanted and not self._queue_and_follow(wanted, self._batch(description), store, runs, running):
                        return INTERRUPTED
                    self._report.note("Watching for new images. To stop, press Ctrl-C.")
            self._report.sum_up()
            runs.tidy({batch.id for batch in store.open_batches()})
        finally:
            store.close()
        return self._status()

    def _arrivals(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        """Yield the images that are there, if any, then those that have come, for ever."""
        arrivals, left_out, is_first = Arrivals(), self._report.left_out, True
        while True:
            begun = time.monotonic()
            images = find_images(paths, recursive=self._options.recursive, only=self._only, left_out=left_out)
            arrived = arrivals.ready(images, time.time())
            # Looking takes a tenth of the time at most, on a slow server too.
            pause = max(LOOK_EVERY, 10 * (time.monotonic() - begun))
            if arrived or is_first:
                yield arrived
            # The summary is about the first look.
            left_out, is_first = LeftOut(), False
            time.sleep(pause)

    def _batch(self, description: str) -> Batch:
        return Batch(description=description.encode(errors="replace").decode(), model=self._question.model)

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
        cancelled = store.cancel_abandoned((one.output.as_uri() for one in skipped), dead, leaving)
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
            try:
                jobs = partial(store.finished_after, batch.id, 0)
                for number, part in enumerate(parts(wanted, self._sample, jobs, self._report)):
                    with self._report.following(len(part)):
                        running.ensure()
                        followed = self._submit(part, batch, store, runs, running, more=number > 0)
                        self._follow(batch, followed, store, running)
            except KeyboardInterrupt:
                if running.own_worker:
                    # Jobs end until the worker has.
                    self._report.note("\nStopping …")
                    running.stop_worker()
                self._report_ended(batch, store, running)
                self._report.interrupted(own_worker=running.own_worker)
                return False
        return True

    def _submit(
        self, wanted: list[PendingImage], batch: Batch, store: Store, runs: RunLocks, running: Services, *, more: bool
    ) -> Followed:
        """Queue the images that are not queued yet. Returns the jobs of other runs that this run follows.

        `more`: the batch has jobs already.
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
            more=more,
            settings=self._settings,
        )
        if submission.queued or submission.resumed:
            self._report.batch_id = batch.id
        self._report.found_others(submission)
        return Followed(submission.followed, batch, store, runs)

    def _follow(self, batch: Batch, followed: Followed, store: Store, running: Services) -> None:
        """Report each job once, in the order in which the jobs end, until no job of the batch and no followed job is open."""
        while True:
            # Counted first: a job that ends after the count is seen in the next round.
            counts = store.counts(batch.id)
            self._report_ended(batch, store, running)
            self._ended(followed.ended(), running)
            self._report.tick()
            if not (followed or any(counts[status] for status in OPEN)):
                return
            if not self._last:
                self._show_loading(batch, store, running)
            followed.take_over()
            running.ensure()
            time.sleep(POLL_EVERY)

    def _report_ended(self, batch: Batch, store: Store, running: Services) -> None:
        """Report the jobs of the batch that have ended since the last call."""
        while jobs := store.finished_after(batch.id, self._last):
            self._last = jobs[-1].finished_order or self._last
            self._ended(jobs, running)

    def _ended(self, jobs: Sequence[Job], running: Services) -> None:
        for job in jobs:
            self._report.finished(job)
        if jobs:
            running.progressed()

    def _show_loading(self, batch: Batch, store: Store, running: Services) -> None:
        """Explain a bar that does not move: a large model takes a while to load."""
        with suppress(RedisError):
            for job in store.jobs(batch_id=batch.id, statuses=[JobStatus.RUNNING], limit=1):
                for event in read(running.connection, job.id)[-1:]:
                    if event.name in _STEPS:
                        self._report.preparing(_STEPS[event.name].format(event.data["model"]))
