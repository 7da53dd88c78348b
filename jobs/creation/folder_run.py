"""Folder runs: from a list of image files to queued jobs.

An image that is queued already gets no second job: a dead run's job is taken over, a live run's job is followed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from redis import Redis

from jobs.chunks import chunked
from jobs.configuration.settings import Settings
from jobs.creation.cancel import announce
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, job_about
from jobs.queue.feeding import enqueue
from jobs.queue.lanes import rows_first
from jobs.store.store import Store
from jobs.store.tables import Batch, Lane
from jobs.store.written.output_writers import TakenUp, Writer


@dataclass
class Submission:
    """The fate of a run's images: queued, taken over, followed or refused."""

    queued: int = 0
    #: Taken over from dead runs that asked the same.
    resumed: int = 0
    #: Open jobs of others that ask the same: they stay in their batches.
    followed: list[Writer] = field(default_factory=list)
    #: Open jobs of others that ask something else about images of this run: nothing is queued for these images.
    refused: list[Writer] = field(default_factory=list)

    def count(self, taken: TakenUp) -> None:
        """Add the jobs of one transaction."""
        self.queued += len(taken.new)
        self.resumed += len(taken.resumed)
        self.followed += taken.followed
        self.refused += taken.refused


class FolderRun:
    """The images of a run on their way into the queue, a part at a time: one job an image, rows first.

    A bad image raises nothing here: its job will fail.
    """

    def __init__(
        self,
        question: Question,
        batch: Batch,
        *,
        store: Store,
        connection: Redis,
        dead: Collection[str] = (),
        at_front: bool = False,
        settings: Settings | None = None,
    ) -> None:
        """Prepare to queue.

        Args:
            batch: of this run only; `begin` adds it to the store.
            dead: ids of batches whose command has ended (`RunLocks.dead`). Their open jobs are taken over when they ask the same,
                and cancelled when they ask something else about an image of this run. Open jobs of all other batches stay as they
                are.
            at_front: go ahead of all runs of the same priority that wait already.
            settings: see `job_about`.
        """
        self.batch = batch
        batch.overtakes = at_front
        #: Whether the batch has jobs.
        self.has_jobs = False
        self._question = question
        self._store = store
        self._connection = connection
        self._dead = dead
        self._settings = settings
        self._positions = 0
        self._submission = Submission()

    def begin(self) -> None:
        """Add the batch to the store."""
        self._store.add_batch(self.batch)

    def add(self, images: Iterable[PendingImage]) -> None:
        """Queue images, a thousand a transaction."""
        for chunk in chunked(images, JOBS_A_TRANSACTION):
            jobs = [
                job_about(one, self._question, self.batch, position=position, settings=self._settings)
                for position, one in enumerate(chunk, start=self._positions)
            ]
            taken = self._store.take_up(jobs, self.batch.id, self._dead)
            queued = [*taken.queued, *taken.resumed]
            enqueue(self._store, self._connection, Lane.BULK, queued, more=self._positions > 0)
            with rows_first():
                announce(taken.superseded, store=self._store, connection=self._connection)
            self._positions += len(jobs)
            self.has_jobs = self.has_jobs or bool(taken.new or taken.resumed)
            self._submission.count(taken)

    def take_submission(self) -> Submission:
        """Return what became of the images that were added since the last call."""
        submission, self._submission = self._submission, Submission()
        return submission

    def submit(self, images: Iterable[PendingImage]) -> Submission:
        """Add the batch and queue all of its images at once."""
        self.begin()
        self.add(images)
        return self.take_submission()
