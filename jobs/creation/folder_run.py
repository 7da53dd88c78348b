"""Folder runs: from a list of image files to queued jobs.

An image that is queued already gets no second job: a dead run's job is taken over, a live run's job is followed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


def submit(
    pending: Sequence[PendingImage],
    question: Question,
    batch: Batch,
    *,
    store: Store,
    connection: Redis,
    dead: Collection[str] = (),
    at_front: bool = False,
    before: int = 0,
    settings: Settings | None = None,
) -> Submission:
    """Queue one job an image, rows first, a chunk at a time. A bad image raises nothing here: its job will fail.

    Args:
        batch: of this run only; it is added to the store with its first images.
        dead: ids of batches whose command has ended (`RunLocks.dead`). Their open jobs are taken over when they ask the same, and
            cancelled when they ask something else about an image of this run. Open jobs of all other batches stay as they are.
        at_front: go ahead of all runs of the same priority that wait already.
        before: number of images of the batch that were submitted earlier.
        settings: see `job_about`.
    """
    if not before:
        batch.overtakes = at_front
        store.add_batch(batch)
    submission = Submission()
    for number, chunk in enumerate(chunked(pending, JOBS_A_TRANSACTION)):
        jobs = [job_about(one, question, batch, settings=settings) for one in chunk]
        for position, job in enumerate(jobs, start=before + number * JOBS_A_TRANSACTION):
            job.position = position
        taken = store.take_up(jobs, batch.id, dead)
        enqueue(store, connection, Lane.BULK, [*taken.queued, *taken.resumed], more=number > 0)
        with rows_first():
            announce(taken.superseded, store=store, connection=connection)
        submission.count(taken)
    return submission
