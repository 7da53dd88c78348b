"""The report of a run: a progress bar and a summary for a person, an object a line for a program."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from cli.output.doubtful_answers import DoubtfulAnswers
from cli.output.job_fields import as_json as job_as_json
from cli.output.job_fields import name_of, reason_of
from cli.output.left_out_lines import left_out_lines, nothing_line, skipped_lines
from cli.output.plurals import counted
from cli.output.progress_bar import ProgressBar, RunRate
from cli.output.shared_images_lines import shared_images_lines
from jobs.creation.folder_run import Submission
from jobs.images.walking.left_out import LeftOut
from jobs.safe_text import safe_json, safe_text
from jobs.store.tables import Job, JobStatus

#: Most failures that the summary lists.
SHOWN_FAILURES = 20


class Report:
    """The count of a run's jobs by their ends; the base of both reports."""

    def __init__(self) -> None:
        self.batch_id: str | None = None
        #: Whether the run writes text files, or other files only.
        self.writes_text = True
        self.captioned = self.skipped = 0
        #: Skipped images whose text, which was to be replaced, a person wrote or changed.
        self.by_hand = 0
        #: Skipped images to whose texts an earlier run has added the answer.
        self.added = 0
        self.left_out = LeftOut()
        #: Jobs that failed or were cancelled.
        self.failed = 0
        self._prompt_tokens = self._image_tokens = self._completion_tokens = 0
        #: Images whose answers came from the result cache.
        self._cached = 0
        #: Images without a job of this run: another run or request asks something else about them.
        self.refused = 0
        self._failures: list[Job] = []
        #: By batch, the number of jobs that failed or were cancelled, and how many of these the summary does not list.
        self._failed_of: Counter[str] = Counter()
        self._unlisted_of: Counter[str] = Counter()
        self._failed_statuses: set[str] = set()
        self._doubts = DoubtfulAnswers()
        self._begun = time.monotonic()
        self._rate = RunRate()
        self._bar = ProgressBar()

    def note(self, message: str) -> None:
        """Tell the person something, never among the results."""
        click.echo(safe_text(message, lines=True), err=True)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Draw a progress bar during the block, in which images are found, and their jobs end."""
        with self._bar.drawn():
            yield

    def found(self, number: int) -> None:
        """Add images to the total of the bar."""
        self._bar.add(number)

    @property
    def is_drawn(self) -> bool:
        """Whether a progress bar is drawn just now."""
        return self._bar.is_drawn

    def tick(self) -> None:
        """Renew the rate and the time left."""
        self._bar.show_rate(self._rate.recent(time.time()))

    def finished(self, job: Job) -> None:
        """Count a job of the run that has ended, and move the bar."""
        self._count(job)
        self._rate.count(job)
        self._bar.advance(self.failed)

    def _count(self, job: Job) -> None:
        self._doubts.count(job)
        if job.status == JobStatus.SUCCEEDED:
            self.captioned += 1
            self._cached += job.cached
            self._prompt_tokens += job.prompt_tokens or 0
            self._image_tokens += job.image_tokens or 0
            self._completion_tokens += job.completion_tokens or 0
            return
        self.failed += 1
        self._failed_of[job.batch_id or ""] += 1
        self._failed_statuses.add(job.status)
        if len(self._failures) < SHOWN_FAILURES:
            self._failures.append(job)
        else:
            self._unlisted_of[job.batch_id or ""] += 1

    @property
    def worked_seconds(self) -> float:
        """Seconds from the first job's begin to the last job's end."""
        return self._rate.seconds

    def sample(self, jobs: Sequence[Job]) -> None:
        """Show the jobs of a sample, if the output is for a person."""

    @property
    def doubtful(self) -> int:
        """Number of answers that look wrong: empty, cut off, repeating themselves or refusals."""
        return self._doubts.total

    def found_all(self, submission: Submission) -> None:
        """Take the total of the bar as the last word. Name the runs and requests that have queued some of the images already."""
        self._bar.add(-len(submission.refused), is_all=True)
        self.refused += len(submission.refused)
        for line in shared_images_lines(submission):
            self.note(line)

    def preparing(self, step: str) -> None:
        """Show the worker's step before the first result, such as "Loading demo"."""
        self._bar.describe(step)

    def interrupted(self, *, own_worker: bool) -> None:
        """Say after Ctrl-C how many captions are kept, and how to resume."""
        self.note(f"\nStopped. {counted(self.captioned, 'image')} captioned and kept.")
        if own_worker or self.batch_id is None:
            self.note("To resume, run the same command again.")
        else:
            self.note(
                "The worker continues with the rest. To follow it, run the same command again; "
                f"to stop it: captionq jobs cancel {self.batch_id}"
            )

    def found_nothing(self, paths: str) -> None:
        """Say that the paths hold no images, and which other files they hold."""
        for line in (nothing_line(paths, self.left_out), *left_out_lines(self.left_out)):
            self._say(line)

    @property
    def _total(self) -> int:
        return self.captioned + self.skipped + self.failed + self.refused

    @property
    def headline(self) -> str:
        """The first line of the summary: `48 images: 47 captioned, 0 skipped, 1 failed in 93.1 s (0.5 images/s)`."""
        seconds = time.monotonic() - self._begun
        # Of the pictures only: the run's seconds include starting and loading.
        worked = self._rate.seconds
        rate = f" ({self.captioned / worked:.1f} images/s)" if self.captioned and worked > 0 else ""
        return (
            f"{counted(self._total, 'image')}: {self.captioned} captioned, {self.skipped} skipped, {self.failed} failed"
            f"{f', {self.refused} left to others' if self.refused else ''} in {seconds:.1f} s{rate}"
        )

    def sum_up(self) -> None:
        """Print the summary at the end of a run."""
        self._say(self.headline)
        if self.captioned:
            self._say(
                f"Tokens: {self._prompt_tokens:,} prompt ({self._image_tokens:,} image), "
                f"{self._completion_tokens:,} completion"
            )
        if self._cached:
            self._say(f"{counted(self._cached, 'answer')} from the cache: --no-cache generates them again")
        for line in (
            *skipped_lines(
                self.skipped, self._total, by_hand=self.by_hand, added=self.added, writes_text=self.writes_text
            ),
            *left_out_lines(self.left_out),
        ):
            self._say(line)
        for line in self._doubts.lines():
            self._say(line)
        for job in self._failures:
            self._say(f"  {name_of(job)}: {reason_of(job)}")
        statuses = " ".join(f"--status {status}" for status in sorted(self._failed_statuses, reverse=True))
        for batch_id, more in self._unlisted_of.items():
            limit = self._failed_of[batch_id]
            self._say(f"  and {more} more: captionq jobs list --batch {batch_id} {statuses} --limit {limit}")

    def line(self, line: str) -> None:
        """Print a line of the summary."""
        self._say(line)

    def _say(self, line: str) -> None:
        click.echo(safe_text(line))


class TextReport(Report):
    """The report for a person."""

    def sample(self, jobs: Sequence[Job]) -> None:
        # Imported here: few runs have a sample.
        from cli.output.tables.sample_table import print_sample

        print_sample(jobs)


class AnswerReport(TextReport):
    """The report about one image, for a person: its new text on standard output, everything else on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: str | None = None

    def sample(self, jobs: Sequence[Job]) -> None:
        """Show nothing: the summary begins with the answer."""

    def finished(self, job: Job) -> None:
        """Also keep the text until the bar is gone."""
        super().finished(job)
        if job.status == JobStatus.SUCCEEDED:
            self._answer = job.new_text

    def sum_up(self) -> None:
        """Print the text, then the summary."""
        if self._answer is not None:
            click.echo(safe_text(self._answer, lines=True))
        super().sum_up()

    def _say(self, line: str) -> None:
        click.echo(safe_text(line), err=True)


class JsonReport(Report):
    """The report for a program: one line a result on standard output, everything else on standard error."""

    def finished(self, job: Job) -> None:
        """Also print the job."""
        super().finished(job)
        self.object(job_as_json(job))

    def object(self, values: dict[str, object]) -> None:
        """Print an object on a line of standard output."""
        click.echo(safe_json(values))

    def _say(self, line: str) -> None:
        click.echo(safe_text(line), err=True)


def make_report(*, as_json: bool, one_image: bool = False) -> Report:
    """Make the report for `--format`; `one_image`: for a run about one image."""
    if as_json:
        return JsonReport()
    return AnswerReport() if one_image else TextReport()
