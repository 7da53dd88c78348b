"""The report of a run: a progress bar and a summary for a person, an object a line for a program."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.output.job_fields import as_json as job_as_json
from cli.output.job_fields import name_of, reason_of
from cli.output.left_out_lines import left_out_lines, nothing_line, skipped_lines
from cli.output.plurals import counted
from jobs.creation.folder_run import Submission
from jobs.images.left_out import LeftOut
from jobs.safe_text import safe_json, safe_text
from jobs.store.tables import Job, JobStatus

#: Most failures, and most doubtful answers, that the summary lists.
SHOWN_FAILURES = 20
_DOUBTS = {"empty": "its answer is empty", "repetition": "its answer repeats itself"}


class Report(ABC):
    """The count of a run's jobs by their ends; the base of both reports."""

    def __init__(self) -> None:
        self.batch_id: str | None = None
        self.captioned = 0
        self.skipped = 0
        #: Skipped images whose text, which was to be replaced, a person wrote or changed.
        self.by_hand = 0
        self.left_out = LeftOut()
        #: Jobs that failed or were cancelled.
        self.failed = 0
        self._prompt_tokens = 0
        self._image_tokens = 0
        self._completion_tokens = 0
        #: Images without a job of this run: another run or request asks something else about them.
        self.refused = 0
        self._failures: list[Job] = []
        #: By batch, the number of jobs that failed or were cancelled, and how many of these the summary does not list.
        self._failed_of: Counter[str] = Counter()
        self._unlisted_of: Counter[str] = Counter()
        self._failed_statuses: set[str] = set()
        self._doubtful: list[Job] = []
        self._begun = time.monotonic()

    def note(self, message: str) -> None:
        """Tell the person something, never among the results."""
        click.echo(safe_text(message, lines=True), err=True)

    @abstractmethod
    def following(self, total: int) -> AbstractContextManager[None]:
        """Wrap the part of a run in which its jobs end."""

    def finished(self, job: Job) -> None:
        """Count a job of the run that has ended."""
        if job.status == JobStatus.SUCCEEDED:
            self.captioned += 1
            self._prompt_tokens += job.prompt_tokens or 0
            self._image_tokens += job.image_tokens or 0
            self._completion_tokens += job.completion_tokens or 0
            if job.quality is not None:
                self._doubtful.append(job)
            return
        self.failed += 1
        self._failed_of[job.batch_id or ""] += 1
        self._failed_statuses.add(job.status)
        if len(self._failures) < SHOWN_FAILURES:
            self._failures.append(job)
        else:
            self._unlisted_of[job.batch_id or ""] += 1

    def found_others(self, submission: Submission) -> None:
        """Name the runs and requests that have queued some of the images already."""
        for maker, count in Counter(writer.maker for writer in submission.followed).items():
            self.note(f"{_are(count)} being captioned by {maker}: following.")
        self.refused = len(submission.refused)
        for (maker, batch_id), count in Counter((one.maker, one.batch_id) for one in submission.refused).items():
            self.note(
                f"{_are(count)} being captioned by {maker} with another question; "
                f"run this again when it has ended, or cancel it: captionq jobs cancel {batch_id}"
            )

    @abstractmethod
    def loading(self, model: str) -> None:
        """Show that the worker is loading the model; no job has ended yet."""

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

    def found_nothing(self, paths: Sequence[Path]) -> None:
        """Say that the paths hold no images, and what else they hold."""
        for line in (nothing_line(paths, self.left_out), *left_out_lines(self.left_out)):
            self._say(line)

    def sum_up(self) -> None:
        """Print the summary at the end of a run."""
        seconds = time.monotonic() - self._begun
        total = self.captioned + self.skipped + self.failed + self.refused
        rate = f" ({self.captioned / seconds:.1f} images/s)" if self.captioned else ""
        self._say(
            f"{counted(total, 'image')}: {self.captioned} captioned, {self.skipped} skipped, {self.failed} failed"
            f"{f', {self.refused} left to others' if self.refused else ''} in {seconds:.1f} s{rate}"
        )
        if self.captioned:
            self._say(
                f"Tokens: {self._prompt_tokens:,} prompt ({self._image_tokens:,} image), "
                f"{self._completion_tokens:,} completion"
            )
        for line in (
            *skipped_lines(skipped=self.skipped, by_hand=self.by_hand, alone=self.skipped == total),
            *left_out_lines(self.left_out),
        ):
            self._say(line)
        for job in self._doubtful[:SHOWN_FAILURES]:
            self._say(f"  {name_of(job)}: {_DOUBTS.get(job.quality or '', job.quality)}")
        if len(self._doubtful) > SHOWN_FAILURES:
            self._say(f"  and {len(self._doubtful) - SHOWN_FAILURES} more whose answers look wrong")
        for job in self._failures:
            self._say(f"  {name_of(job)}: {reason_of(job)}")
        statuses = " ".join(f"--status {status}" for status in sorted(self._failed_statuses, reverse=True))
        for batch_id, more in self._unlisted_of.items():
            limit = self._failed_of[batch_id]
            self._say(f"  and {more} more: captionq jobs list --batch {batch_id} {statuses} --limit {limit}")

    def _say(self, line: str) -> None:
        click.echo(safe_text(line))


class TextReport(Report):
    """The report for a person: on a terminal with a progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None

    @contextmanager
    def following(self, total: int) -> Iterator[None]:
        """Draw a progress bar, if the output is a terminal."""
        if not (sys.stdout.isatty() and sys.stderr.isatty()):
            yield
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            _Rate(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._progress:
            self._progress.add_task("Waiting for the worker", total=total, failed=0)
            yield

    def found_others(self, submission: Submission) -> None:
        """Also take the images that are left to others out of the bar."""
        super().found_others(submission)
        if self._progress is not None and self.refused:
            task = self._progress.tasks[0]
            self._progress.update(task.id, total=(task.total or 0) - self.refused)

    def loading(self, model: str) -> None:
        """Show the model before the bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=f"Loading {safe_text(model)}")

    def finished(self, job: Job) -> None:
        """Also move the bar."""
        super().finished(job)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description="", advance=1, failed=self.failed)


class JsonReport(Report):
    """The report for a program: one line a result on standard output, everything else on standard error."""

    @contextmanager
    def following(self, total: int) -> Iterator[None]:
        """Draw nothing."""
        yield

    def loading(self, model: str) -> None:
        """Print nothing."""

    def finished(self, job: Job) -> None:
        """Also print the job."""
        super().finished(job)
        click.echo(safe_json(job_as_json(job)))

    def _say(self, line: str) -> None:
        click.echo(safe_text(line), err=True)


class _Rate(ProgressColumn):
    """Images per second, over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


def make_report(*, as_json: bool) -> Report:
    """Make the report for `--format`."""
    return JsonReport() if as_json else TextReport()


def _are(number: int) -> str:
    return f"{counted(number, 'image')} {'is' if number == 1 else 'are'}"
