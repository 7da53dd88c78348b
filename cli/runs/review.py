"""A review: answers that need a person, one after another, until each is kept, edited, asked for again or skipped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import click

from cli.output.plurals import counted
from cli.output.tables.review_table import print_review
from cli.runs.processes.services import Services, services
from cli.runs.review_dialogue import ReviewDialogue
from jobs.configuration.settings import Settings
from jobs.creation.retry import expect_current_texts
from jobs.creation.review import asked_again, save_edit, text_to_edit
from jobs.creation.run_locks import RunLocks
from jobs.errors import CaptionqError
from jobs.queue.feeding import enqueue
from jobs.safe_text import safe_text
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, Job, JobStatus, Lane

#: Seconds between two looks at a job that is asked again.
POLL_EVERY = 0.1


class Review:
    """One `captionq review`."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._dialogue = ReviewDialogue()
        self._runs = RunLocks(settings)
        #: Started for the first question that is asked again; the model stays warm for the next.
        self._services: Services | None = None
        self._stack = ExitStack()
        self._decided: Counter[str] = Counter()

    def walk(self, jobs: Sequence[Job]) -> None:
        """Show the answers one after another, and do as the person decides."""
        with self._stack:
            for number, job in enumerate(jobs, 1):
                if not self._decide(job, f"{number} of {len(jobs)}"):
                    break
        self._runs.tidy({batch.id for batch in self._store.open_batches()})
        left = len(jobs) - self._decided.total()
        done = ", ".join(f"{count} {word}" for word, count in self._decided.items())
        click.echo(f"{done or 'nothing decided'}; {counted(left, 'answer')} left")

    def _decide(self, job: Job, position: str) -> bool:
        """Show an answer until it is decided or skipped. Returns False to quit."""
        asked: Job = job
        while True:
            print_review(job, position)
            key = self._dialogue.key()
            if key in ("s", "q"):
                return key == "s"
            try:
                if key == "k":
                    self._store.review(job.id)
                    self._decided["kept"] += 1
                    return True
                if key == "e" and self._edit(job):
                    self._decided["edited"] += 1
                    return True
                if key == "a" and (asked := self._ask_again(job)) is not job:
                    self._store.review(job.id)
                    if asked.quality is None:
                        print_answer(asked)
                        self._decided["answered again"] += 1
                        return True
                    job = asked
            except CaptionqError as error:
                click.echo(safe_text(error.message))

    def _edit(self, job: Job) -> bool:
        edited = text_to_edit(job)
        text = self._dialogue.text(edited.text)
        if text is None:
            click.echo("The text stays as it was.")
            return False
        save_edit(job, edited, text, self._store)
        return True

    def _ask_again(self, job: Job) -> Job:
        """Ask about the image again. Returns the new job, or the job itself if there is no new answer."""
        batch = Batch(description=f"review of {job.batch_id or job.id}", model=job.model)
        new = asked_again(job, self._dialogue.prompt(), batch)
        expect_current_texts([new], self._store)
        if self._services is None:
            self._services = self._stack.enter_context(services(self._settings))
        with self._runs.hold(batch):
            self._store.add_batch(batch)
            taken = self._store.take_up([new], batch.id, self._runs.dead(self._store.open_batches()))
            if busy := taken.followed + taken.refused:
                click.echo(f"The image is being captioned by {busy[0].maker}.")
                return job
            enqueue(self._store, self._services.connection, Lane(new.lane), taken.queued)
            ended = self._ended((taken.resumed or [new.id])[0], self._services)
        if ended.status == JobStatus.SUCCEEDED:
            return ended
        click.echo(safe_text(ended.error_message or f"The job was {ended.status}."))
        return job

    def _ended(self, job_id: str, running: Services) -> Job:
        while (job := self._store.job(job_id)).status in OPEN:
            running.ensure()
            time.sleep(POLL_EVERY)
        running.progressed()
        return job


def print_answer(job: Job) -> None:
    """Print an answer in which no flaw was found."""
    for line in safe_text(job.text or "", lines=True).splitlines():
        click.echo(f"  {line}")
