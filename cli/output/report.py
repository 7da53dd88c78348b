"""What a run shows: a progress bar and a summary for a person, an object a line for a program."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from jobs.creation.folder_run import Submission
from jobs.images.packages import package_kind
from jobs.requests import path_of
from jobs.store.tables import Job, JobStatus

#: Failures that the summary lists, and answers that something was noticed about.
SHOWN_FAILURES = 20
_NOTICED = {"empty": "its answer is empty", "repetition": "its answer repeats itself"}


class Report(ABC):
    """Counts what ends; the base of what is shown."""

    def __init__(self) -> None:
        self.batch_id: str | None = None
        self.captioned = 0
        self.skipped = 0
        #: Of those that were skipped: a person wrote or changed the text that was to be replaced.
        self.by_hand = 0
        #: Packages and system folders that were not entered.
        self.left_out: list[Path] = []
        #: Failed or cancelled.
        self.failed = 0
        self._prompt_tokens = 0
        self._image_tokens = 0
        self._completion_tokens = 0
        #: Images that nothing was queued for: another run or request asks something else about them.
        self.refused = 0
        self._failures: list[Job] = []
        #: How many jobs of each batch failed or were cancelled, and how many of them the summary does not list.
        self._failed_of: Counter[str] = Counter()
        self._unlisted_of: Counter[str] = Counter()
        self._failed_statuses: set[str] = set()
        self._noticed: list[Job] = []
        self._begun = time.monotonic()

    def note(self, message: str) -> None:
        """Something that the person should know; never among the results."""
        click.echo(message, err=True)

    @abstractmethod
    def following(self, total: int) -> AbstractContextManager[None]:
        """Around the time in which jobs end."""

    def finished(self, job: Job) -> None:
        """A job of the run has ended."""
        if job.status == JobStatus.SUCCEEDED:
            self.captioned += 1
            self._prompt_tokens += job.prompt_tokens or 0
            self._image_tokens += job.image_tokens or 0
            self._completion_tokens += job.completion_tokens or 0
            if job.quality is not None:
                self._noticed.append(job)
            return
        self.failed += 1
        self._failed_of[job.batch_id or ""] += 1
        self._failed_statuses.add(job.status)
        if len(self._failures) < SHOWN_FAILURES:
            self._failures.append(job)
        else:
            self._unlisted_of[job.batch_id or ""] += 1

    def found_others(self, submission: Submission) -> None:
        """Say which images others have queued already."""
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
        """Nothing has ended yet: the worker is bringing the model in."""

    def interrupted(self, *, own_worker: bool) -> None:
        """Ctrl-C: say what is kept and how to go on."""
        self.note(f"\nStopped. {_count(self.captioned, 'image')} captioned in this run: they are kept.")
        if own_worker or self.batch_id is None:
            self.note("To resume, run the same command again.")
        else:
            self.note(
                "The worker goes on with the rest. To follow it, run the same command again; "
                f"to end it: captionq jobs cancel {self.batch_id}"
            )

    def sum_up(self) -> None:
        """The end of a run."""
        seconds = time.monotonic() - self._begun
        total = self.captioned + self.skipped + self.failed + self.refused
        rate = f" ({self.captioned / seconds:.1f} images/s)" if self.captioned else ""
        self._say(
            f"{_count(total, 'image')}: {self.captioned} captioned, {self.skipped} skipped, {self.failed} failed"
            f"{f', {self.refused} left to others' if self.refused else ''} in {seconds:.1f} s{rate}"
        )
        if self.captioned:
            self._say(
                f"Tokens: {self._prompt_tokens:,} in the prompts ({self._image_tokens:,} of them image), "
                f"{self._completion_tokens:,} in the answers"
            )
        if self.by_hand:
            were, them = ("was", "it") if self.by_hand == 1 else ("were", "them")
            self._say(f"{_count(self.by_hand, 'text')} {were} written by hand: --force replaces {them} too")
        self._name_left_out()
        for job in self._noticed[:SHOWN_FAILURES]:
            self._say(f"  {name_of(job)}: {_NOTICED.get(job.quality or '', job.quality)}")
        if len(self._noticed) > SHOWN_FAILURES:
            self._say(f"  and {len(self._noticed) - SHOWN_FAILURES} more whose answers look wrong")
        for job in self._failures:
            self._say(f"  {name_of(job)}: {reason_of(job)}")
        statuses = " ".join(f"--status {status}" for status in sorted(self._failed_statuses, reverse=True))
        for batch_id, more in self._unlisted_of.items():
            limit = self._failed_of[batch_id]
            self._say(f"  and {more} more: captionq jobs list --batch {batch_id} {statuses} --limit {limit}")

    def _name_left_out(self) -> None:
        """A line for each kind of folder that was not entered."""
        kinds: dict[str, list[Path]] = {}
        for folder in self.left_out:
            kinds.setdefault(package_kind(folder.name) or "package", []).append(folder)
        for kind, folders in kinds.items():
            first = str(folders[0]).encode(errors="replace").decode()
            places = first if len(folders) == 1 else f"{first}, …"
            self._say(
                f"{_count(len(folders), kind)} left out ({places}): name {'it' if len(folders) == 1 else 'one'} to enter"
            )

    def _say(self, line: str) -> None:
        click.echo(line)


class TextReport(Report):
    """For a person: a bar while it runs, if there is a terminal to draw it on."""

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None

    @contextmanager
    def following(self, total: int) -> Iterator[None]:
        """A progress bar; nothing when the output is no terminal."""
        if not (sys.stdout.isatty() and sys.stderr.isatty()):
            yield
            return
        columns = (
            TextColumn("{task.description}"),
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
        """Takes the images that are left to others out of the bar."""
        super().found_others(submission)
        if self._progress is not None and self.refused:
            task = self._progress.tasks[0]
            self._progress.update(task.id, total=(task.total or 0) - self.refused)

    def loading(self, model: str) -> None:
        """Says so before the bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=f"Loading {model}")

    def finished(self, job: Job) -> None:
        """Moves the bar."""
        super().finished(job)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description="", advance=1, failed=self.failed)


class JsonReport(Report):
    """For a program: a line a result on the standard output, everything else on the other."""

    @contextmanager
    def following(self, total: int) -> Iterator[None]:
        """Nothing to draw."""
        yield

    def loading(self, model: str) -> None:
        """Nothing to print."""

    def finished(self, job: Job) -> None:
        """Prints the job."""
        super().finished(job)
        click.echo(json.dumps(as_json(job), ensure_ascii=False))

    def _say(self, line: str) -> None:
        click.echo(line, err=True)


class _Rate(ProgressColumn):
    """Images a second, over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


def make_report(*, as_json: bool) -> Report:
    """The report for `--format`."""
    return JsonReport() if as_json else TextReport()


def as_json(job: Job) -> dict[str, object]:
    """A job for programs."""
    return {
        "id": job.id,
        "batch": job.batch_id,
        "status": job.status,
        "image": name_of(job),
        "output": printable(job.output) if job.output else None,
        "model": job.model,
        "text": job.text,
        "previous_text": previous_text(job),
        "finish_reason": job.finish_reason,
        "quality": job.quality,
        "logprobs": json.loads(job.logprobs) if job.logprobs else None,
        "usage": {
            "prompt_tokens": job.prompt_tokens,
            "image_tokens": job.image_tokens,
            "completion_tokens": job.completion_tokens,
        },
        "seconds": {
            "queue": job.queue_seconds,
            "preprocess": job.preprocess_seconds,
            "prefill": job.prefill_seconds,
            "decode": job.decode_seconds,
        },
        "error": {"code": job.error_code, "message": job.error_message} if job.status == JobStatus.FAILED else None,
    }


def name_of(job: Job) -> str:
    """The image's path, or the job's id when it has none."""
    return printable(job.source) if job.source else job.id


def reason_of(job: Job) -> str:
    """Why a job has no text."""
    return "cancelled" if job.status == JobStatus.CANCELLED else job.error_message or "unknown"


def previous_text(job: Job) -> str | None:
    """The text that the job's answer replaced."""
    return None if job.previous_text is None else job.previous_text.decode(errors="replace")


def printable(address: str) -> str:
    """The path of a file address, with ? for what is no text."""
    return str(path_of(address)).encode(errors="replace").decode()


def _are(number: int) -> str:
    return f"{_count(number, 'image')} {'is' if number == 1 else 'are'}"


def _count(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
