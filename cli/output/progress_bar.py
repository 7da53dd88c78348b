"""The progress bar of a run: images done, images per second of the last half minute, and the time left at that rate."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.store.tables import Job

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds over which the rate is taken.
RATE_SECONDS = 30.0


class RunRate:
    """Ends of a run's jobs per second, without the time before the first job began: a model takes long to load."""

    def __init__(self) -> None:
        self.begun: float | None = None
        self.ended: float | None = None
        self._ends: deque[float] = deque()

    def count(self, job: Job) -> None:
        """Count a job that has ended."""
        end = job.finished_at or job.created_at
        # `started_at` does not do: the job that waits for the model has started before the model is loaded.
        work = sum(one or 0.0 for one in (job.preprocess_seconds, job.prefill_seconds, job.decode_seconds))
        self.begun = min(self.begun if self.begun is not None else end, end - work)
        self.ended = max(self.ended or end, end)
        self._ends.append(end)

    @property
    def seconds(self) -> float:
        """Seconds from the first job's begin to the last job's end."""
        return 0.0 if self.begun is None or self.ended is None else self.ended - self.begun

    def recent(self, now: float) -> float | None:
        """Jobs per second over the last RATE_SECONDS; None: no job ended in that time, or the first one only just began."""
        while self._ends and self._ends[0] < now - RATE_SECONDS:
            self._ends.popleft()
        if self.begun is None or not self._ends:
            return None
        # Jobs of a batch end together: a second is the least time that says anything.
        return len(self._ends) / max(1.0, min(RATE_SECONDS, now - self.begun))


class ProgressBar:
    """A bar on standard error; draws nothing if standard error is no terminal."""

    def __init__(self, unit: str = "images") -> None:
        self._unit = unit
        self._progress: Progress | None = None
        #: Whether the total is known. Until then it grows, and no time can be said.
        self._has_all = False

    @property
    def is_drawn(self) -> bool:
        return self._progress is not None

    @contextmanager
    def drawn(self, total: int | None = None) -> Iterator[None]:
        """Draw the bar during the block, if standard error is a terminal. `total`: None: it is not known yet, see `add`."""
        self._has_all = total is not None
        if not sys.stderr.isatty():
            yield
            return
        # Imported here: a run without a terminal draws nothing.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TextColumn("{task.fields[speed]}"),
        )
        # Results go to standard output by themselves, as a program or a file reads them.
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
            self._progress = progress
            progress.add_task("Starting the worker", total=total or 0, failed=0, speed="")
            try:
                yield
            finally:
                self._progress = None

    def add(self, number: int, *, is_all: bool = False) -> None:
        """Add images to the total, or take some away. `is_all`: no more come."""
        self._has_all = is_all
        if self._progress is not None:
            task = self._progress.tasks[0]
            self._progress.update(task.id, total=(task.total or 0) + number)

    def describe(self, text: str) -> None:
        """Show a text before the bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=text)

    def advance(self, failed: int) -> None:
        """Move the bar by one image. `failed`: images that failed so far."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description="", advance=1, failed=failed)

    def show_rate(self, rate: float | None) -> None:
        """Show the rate in images per second, and the time left at this rate."""
        if self._progress is not None:
            task = self._progress.tasks[0]
            speed = ""
            if rate:
                left = timedelta(seconds=round(max(0.0, (task.total or 0) - task.completed) / rate))
                speed = f"{rate:.1f} {self._unit}/s" + (f", {left} left" if self._has_all else "")
            self._progress.update(task.id, speed=speed)
