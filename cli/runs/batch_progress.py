"""The progress of a run's batch: each job is reported as it ends, until all have."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from cli.output.plurals import counted
from cli.output.report import Report
from cli.runs.followed_jobs import Followed
from cli.runs.processes.services import Services
from jobs.queue.events import read
from jobs.store.rows.job_counts import open_in
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus

#: Seconds between two reads of new results.
POLL_EVERY = 0.1
#: Seconds between two looks at the worker's step before the first result.
STEP_CHECK_EVERY = 0.5
#: Seconds between two looks whether the run was paused.
PAUSE_CHECK_EVERY = 1.0
#: Seconds between two looks for a fault that the jobs wait for.
FAULT_CHECK_EVERY = 2.0
#: The worker's steps before the first result, by the name of their events.
_STEPS = {
    "loading": "Loading {}",
    "checking": "Checking how requests to {} can be batched",
    "loaded": "Captioning with {}",
}


class BatchProgress:
    """The jobs of one batch, reported once each in the order in which they end."""

    def __init__(self, batch: Batch, report: Report, store: Store, running: Services) -> None:
        self._batch = batch
        self._report = report
        self._store = store
        self._running = running
        #: Position in the order of ends up to which the batch has been reported.
        self._last = 0
        self._paused = False
        self._looked_at = 0.0
        self._fault = ""
        self._asked_at = 0.0
        self._wait = ""
        self._asked_for_wait_at = 0.0
        self._asked_for_step_at = 0.0
        #: The counts at which the ended jobs were reported.
        self._counted: Mapping[JobStatus, int] = {}

    def follow(self, followed: Followed) -> None:
        """Report jobs until no job of the batch and no `followed` job is open."""
        while True:
            # Counted first: a job that ends after the count is seen in the next round.
            counts = self._store.counts(self._batch.id)
            self._ended(followed.ended())
            self._look(counts)
            if not (followed or open_in(counts)):
                return
            followed.take_over()
            self._running.ensure()
            time.sleep(POLL_EVERY)

    def look(self) -> None:
        """Report the jobs that have ended, and what keeps the others waiting."""
        self._look(self._store.counts(self._batch.id))

    def _look(self, counts: Mapping[JobStatus, int]) -> None:
        # Each end changes the counts, which are read in a third of the time.
        if counts != self._counted:
            self.report_ended()
        self._counted = counts
        self._report.tick()
        if open_in(counts):
            self._show_pause(counts)
            self._show_fault()
            self._show_wait(counts)
            if not self._last and self._report.is_drawn:
                self._show_loading()

    def report_ended(self) -> None:
        """Report the jobs of the batch that have ended since the last call."""
        while jobs := self._store.finished_after(self._batch.id, self._last):
            self._last = jobs[-1].finished_order or self._last
            self._ended(jobs)

    def _ended(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._report.finished(job)
        if jobs:
            self._running.progressed()

    def _show_pause(self, counts: Mapping[JobStatus, int]) -> None:
        """Say once why no job ends any more: the batch was paused."""
        if time.monotonic() - self._looked_at < PAUSE_CHECK_EVERY or counts[JobStatus.RUNNING]:
            return
        self._looked_at = time.monotonic()
        was_paused, self._paused = self._paused, self._store.batch(self._batch.id).paused_at is not None
        if self._paused and not was_paused:
            left = counted(counts[JobStatus.QUEUED], "image")
            self._report.note(f"Paused with {left} to go. To resume: captionq jobs resume {self._batch.id}")

    def _show_fault(self) -> None:
        """Say once what keeps the jobs waiting, and that they go on by themselves."""
        if time.monotonic() - self._asked_at < FAULT_CHECK_EVERY:
            return
        self._asked_at = time.monotonic()
        before, self._fault = self._fault, self._running.find_fault()
        if self._fault and not before:
            self._report.note(self._fault)

    def _show_wait(self, counts: Mapping[JobStatus, int]) -> None:
        """Say when the workers take no bulk jobs, and until when: once above the bar, and in front of it as long as it lasts."""
        if time.monotonic() - self._asked_for_wait_at < FAULT_CHECK_EVERY or counts[JobStatus.RUNNING]:
            return
        self._asked_for_wait_at = time.monotonic()
        before, self._wait = self._wait, self._running.find_wait()
        if self._wait != before:
            self._report.preparing(f"Waits {self._wait}" if self._wait else "")
        if self._wait and not before:
            self._report.note(f"Bulk work waits {self._wait}. The jobs are stored, and go on by themselves.")

    def _show_loading(self) -> None:
        """Explain a bar that does not move: a large model takes a while to load."""
        if time.monotonic() - self._asked_for_step_at < STEP_CHECK_EVERY:
            return
        self._asked_for_step_at = time.monotonic()
        with suppress(RedisError):
            for job in self._store.jobs(batch_id=self._batch.id, statuses=[JobStatus.RUNNING], limit=1):
                for event in read(self._running.connection, job.id)[-1:]:
                    if event.name in _STEPS:
                        self._report.preparing(_STEPS[event.name].format(event.data["model"]))
