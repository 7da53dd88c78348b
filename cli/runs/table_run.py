"""`captionq ask -q`: a table of questions about the images of folders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.left_out_lines import left_out_lines, nothing_line
from cli.output.plurals import counted
from cli.output.progress_bar import ProgressBar, RunRate
from cli.runs.left_jobs import cancel_left_jobs
from cli.runs.processes.services import Services, services
from jobs.captions.outputs.answer_table import AnswerTable
from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel_run
from jobs.creation.chosen_images import choose_rows
from jobs.creation.create import JOBS_A_TRANSACTION, queue_jobs
from jobs.creation.question import Question, answer_job
from jobs.creation.run_locks import RunLocks
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_images
from jobs.images.walking.left_out import LeftOut
from jobs.options.ask_options import AskOptions
from jobs.requests import address_of
from jobs.safe_text import safe_text
from jobs.store.rows.job_counts import open_in
from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus

#: Seconds between two reads of new answers.
POLL_EVERY = 0.1


class TableRun:
    """One table of questions."""

    def __init__(
        self,
        settings: Settings,
        questions: Sequence[Question],
        options: AskOptions,
        output: Path | None,
        *,
        as_json: bool,
    ) -> None:
        """Prepare a run.

        Args:
            questions: the questions about each image, one job each.
            output: the file of the table; None: standard output.
            as_json: print an object a line instead of CSV on standard output.
        """
        self._settings = settings
        self._questions = questions
        self._options = options
        self._output = output
        self._format = "jsonl" if as_json else "csv"
        self._bar = ProgressBar()
        self._rate = RunRate()
        self._counts = dict.fromkeys(JobStatus, 0)
        self._cached = 0
        #: Position in the order of ends up to which the batch has been read.
        self._last = 0

    def ask(self, paths: Sequence[Path]) -> int:
        """Ask every question about each image of the paths, and write the table. Returns the exit status."""
        left_out = LeftOut()
        found = find_images(
            paths, recursive=self._options.recursive, only=FileFilter.of(self._options), left_out=left_out
        )
        images = list(choose_rows(found, self._options))
        if not images:
            self._say(nothing_line(", ".join(map(str, paths)), left_out))
            return SOME_FAILED
        columns = [question.column.name for question in self._questions if question.column is not None]
        table = AnswerTable(columns, (address_of(image) for image in images))
        begun = time.monotonic()
        store, runs = Store(self._settings), RunLocks(self._settings)
        try:
            finished = self._run(images, table, self._batch(paths), store, runs)
        finally:
            store.close()
        self._deliver(table)
        self._sum_up(len(images), time.monotonic() - begun, left_out, finished=finished)
        if not finished:
            return INTERRUPTED
        return SOME_FAILED if self._counts[JobStatus.FAILED] or self._counts[JobStatus.CANCELLED] else ALL_CAPTIONED

    def _batch(self, paths: Sequence[Path]) -> Batch:
        names = ", ".join("" if one.column is None else one.column.name for one in self._questions)
        places = " ".join(str(path) for path in paths).encode(errors="replace").decode()
        return Batch(
            description=f"{places}: {names or 'schema'}",
            model=self._questions[0].model,
            priority=self._options.priority,
        )

    def _run(self, images: Sequence[Path], table: AnswerTable, batch: Batch, store: Store, runs: RunLocks) -> bool:
        """Queue the questions and collect the answers. Returns False after Ctrl-C, which cancels the rest."""
        with runs.hold(batch), services(self._settings, lingers=True) as running:
            try:
                with self._bar.drawn(len(images) * len(self._questions)):
                    running.ensure()
                    cancel_left_jobs(batch.description, store=store, runs=runs, connection=running.connection)
                    self._queue(images, batch, store, running)
                    self._follow(batch, table, store, running)
            except KeyboardInterrupt:
                cancel_run(batch.id, store=store, connection=None if running.is_away else running.connection)
                self._collect(batch, table, store, running)
                return False
        runs.tidy({one.id for one in store.open_batches()})
        return True

    def _queue(self, images: Sequence[Path], batch: Batch, store: Store, running: Services) -> None:
        """Queue the questions, those about one image next to each other: the vision tower then encodes each image once."""
        store.add_batch(batch)
        asked = ((image, question) for image in images for question in self._questions)
        for number, chunk in enumerate(chunked(asked, JOBS_A_TRANSACTION)):
            jobs = [answer_job(image, question, batch) for image, question in chunk]
            queue_jobs(jobs, store=store, connection=running.connection, more=number > 0)

    def _follow(self, batch: Batch, table: AnswerTable, store: Store, running: Services) -> None:
        while True:
            # Counted first: a job that ends after the count is seen in the next round.
            counts = store.counts(batch.id)
            self._collect(batch, table, store, running)
            self._bar.show_rate(self._rate.recent(time.time()))
            if not open_in(counts):
                return
            running.ensure()
            time.sleep(POLL_EVERY)

    def _collect(self, batch: Batch, table: AnswerTable, store: Store, running: Services) -> None:
        """Put the answers that have come since the last call into the table."""
        while jobs := store.finished_after(batch.id, self._last):
            self._last = jobs[-1].finished_order or self._last
            for job in jobs:
                table.add(job)
                self._rate.count(job)
                self._counts[JobStatus(job.status)] += 1
                self._cached += job.cached
                self._bar.advance(self._counts[JobStatus.FAILED])
            running.progressed()

    def _deliver(self, table: AnswerTable) -> None:
        if self._output is not None:
            table.write(self._output)
            return
        for line in table.lines(self._format):
            click.echo(line, nl=False)

    def _sum_up(self, images: int, seconds: float, left_out: LeftOut, *, finished: bool) -> None:
        failed, answered = self._counts[JobStatus.FAILED], self._counts[JobStatus.SUCCEEDED]
        cached = f" ({self._cached} from the cache)" if self._cached else ""
        place = "" if self._output is None else f": {self._output}"
        self._say(
            f"{counted(images, 'image')}, {counted(len(self._questions), 'question')}: "
            f"{counted(answered, 'answer')}{cached}, {failed} failed in {seconds:.1f} s{place}"
        )
        for line in left_out_lines(left_out):
            self._say(line)
        if not finished:
            self._say("Stopped. To ask the rest, run the same command again.")

    def _say(self, line: str) -> None:
        click.echo(safe_text(line), err=True)
