"""A caption run from its paths to its exit status: find, queue, follow, sum up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from redis.exceptions import RedisError

from cli.main import INTERRUPTED
from cli.report import make_report
from cli.services import Services, services
from jobs.folders import find_images
from jobs.models import check_sees, describe
from jobs.settings import Settings
from jobs.store import Store
from jobs.stream import read
from jobs.submission import Existing, Question, Submission, Wanted, submit, without_text
from jobs.tables import OPEN, JobStatus
from worker.download import fetch

#: Seconds between two looks for new results.
FOLLOW_EVERY = 0.1

ALL_CAPTIONED = 0
SOME_FAILED = 1


class Run:
    """One `captionq caption`."""

    def __init__(self, settings: Settings, question: Question, *, as_json: bool) -> None:
        self._settings = settings
        self._question = question
        self._report = make_report(as_json=as_json)

    def caption(self, paths: Sequence[Path], *, recursive: bool, existing: Existing) -> int:
        """Returns the exit status. Raises CaptionqError when the run itself cannot go on."""
        self._check_model()
        wanted = self._find(paths, recursive=recursive, existing=existing)
        if wanted:
            store = Store(self._settings)
            description = " ".join(str(path) for path in paths).encode(errors="replace").decode()
            with services(self._settings) as running:
                try:
                    self._queue_and_follow(wanted, description, store, running)
                except KeyboardInterrupt:
                    self._report.interrupted(own_worker=running.own_worker)
                    return INTERRUPTED
                finally:
                    store.close()
        self._report.sum_up()
        return SOME_FAILED if self._report.failed else ALL_CAPTIONED

    def _check_model(self) -> None:
        """Refuse before anything is queued; fetch here, where its progress can be seen."""
        model = describe(self._question.model)
        check_sees(model)
        if model.path is None:
            fetch(model.name)
        if model.name == "demo":
            self._report.note("The model 'demo' knows pictures of coloured shapes only. For photographs use --model.")

    def _find(self, paths: Sequence[Path], *, recursive: bool, existing: Existing) -> list[Wanted]:
        wanted: list[Wanted] = []
        for one in without_text(find_images(paths, recursive=recursive), existing):
            if one is None:
                self._report.skipped += 1
            else:
                wanted.append(one)
        return wanted

    def _queue_and_follow(self, wanted: list[Wanted], description: str, store: Store, running: Services) -> None:
        with self._report.following(len(wanted)):
            running.ensure()
            submission = submit(
                wanted,
                self._question,
                store=store,
                connection=running.connection,
                description=description,
                # What an earlier run left in the queue of a worker of our own can wait: somebody looks at this one.
                at_front=running.own_worker,
            )
            self._report.batch_id = submission.batch.id
            self._follow(submission, store, running)

    def _follow(self, submission: Submission, store: Store, running: Services) -> None:
        """Until no job of the batch is open: each of them is reported once, in the order of their ends."""
        last = 0
        while True:
            # Counted first: a job that ends after the count is seen in the next round.
            counts = store.counts(submission.batch.id)
            while jobs := store.finished_after(submission.batch.id, last):
                for job in jobs:
                    self._report.finished(job)
                last = jobs[-1].finished_order or last
                running.progressed()
            if not any(counts[status] for status in OPEN):
                return
            if not last:
                self._show_loading(submission, store, running)
            running.ensure()
            time.sleep(FOLLOW_EVERY)

    def _show_loading(self, submission: Submission, store: Store, running: Services) -> None:
        """A large model takes a while: a bar that does not move wants a word."""
        with suppress(RedisError):
            for job in store.jobs(batch_id=submission.batch.id, statuses=[JobStatus.RUNNING], limit=1):
                for event in read(running.connection, job.id)[-1:]:
                    if event.name == "loading":
                        self._report.loading(event.data["model"])
