"""From a list of image files to queued jobs.

An image that has its text is skipped. One that is queued already gets no second job: a dead run's job is taken over, a live
one's is followed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from redis import Redis

from jobs import queue
from jobs.cancellation import announce
from jobs.chunks import chunked
from jobs.requests import Request, Sampling
from jobs.response_format import ResponseFormat
from jobs.sidecars import Sidecars
from jobs.store import Store
from jobs.tables import Batch, Job, Lane
from jobs.writers import TakenUp, Writer

#: Rows a transaction, and entries a push: the worker gets its turn in between.
CHUNK = 500


class Existing(StrEnum):
    """What happens to an image that has its text file already."""

    SKIP = "skip"  #: nothing; it costs nothing
    REPLACE = "replace"  #: it is captioned again, and the file is replaced when the new text is there


@dataclass(frozen=True)
class Question:
    """What is asked about every image."""

    model: str
    prompt: str
    sampling: Sampling
    #: None: free text.
    response_format: ResponseFormat | None = None

    def about(self, image: Path | str) -> Request:
        """It, asked about an image file or the image at an address."""
        return Request.about_image(
            image,
            model=self.model,
            prompt=self.prompt,
            sampling=self.sampling,
            response_format=self.response_format,
        )


@dataclass(frozen=True)
class Wanted:
    """An image that needs a text, and the file that is to hold it."""

    image: Path
    output: Path


@dataclass(frozen=True)
class Skipped:
    """An image that is left as it is, because it has its text file."""

    image: Path
    output: Path


@dataclass
class Submission:
    """What became of the images of a run."""

    queued: int = 0
    #: Taken over: a run that is dead queued them, with the same question.
    resumed: int = 0
    #: Open jobs of others that ask the same: they stay where they are.
    followed: list[Writer] = field(default_factory=list)
    #: Open jobs of others that ask something else about images of this run: nothing is queued for these.
    refused: list[Writer] = field(default_factory=list)

    def count(self, taken: TakenUp) -> None:
        """Add what became of some of the images."""
        self.queued += len(taken.new)
        self.resumed += len(taken.resumed)
        self.followed += taken.followed
        self.refused += taken.refused


def without_text(images: Iterable[Path], existing: Existing) -> Iterator[Wanted | Skipped]:
    """Each image, and whether it needs a text: one that has its text file may be skipped."""
    sidecars = Sidecars()
    for image in images:
        output = sidecars.path_for(image)
        skipped = existing is Existing.SKIP and os.path.lexists(output)
        yield Skipped(image, output) if skipped else Wanted(image, output)


def submit(
    wanted: Sequence[Wanted],
    question: Question,
    batch: Batch,
    *,
    store: Store,
    connection: Redis,
    dead: Collection[str] = (),
    at_front: bool = False,
) -> Submission:
    """Queue a job an image, rows first, a chunk at a time. A bad image raises nothing here: its job will fail.

    Args:
        batch: of this run alone; it is added to the store.
        dead: ids of batches whose command has ended (`Runs.dead`). Their open jobs are taken over when they ask the same, and
            cancelled when they ask something else about an image of this run. Open jobs of all others stay as they are.
        at_front: ahead of what waits already.
    """
    store.add_batch(batch)
    submission = Submission()
    resumed: list[list[str]] = []
    chunks = list(chunked(wanted, CHUNK))
    if at_front:
        # Each one goes ahead of the one before it.
        chunks.reverse()
    for chunk in chunks:
        taken = store.take_up([job_about(one, question, batch) for one in chunk], batch.id, dead)
        with queue.rows_first():
            queue.push(connection, Lane.BULK, [job.id for job in taken.new], at_front=at_front)
            announce(taken.superseded, store=store, connection=connection)
        resumed.append(taken.resumed)
        submission.count(taken)
    if at_front:
        ids = [job_id for chunk_ids in reversed(resumed) for job_id in chunk_ids]
        with queue.rows_first():
            queue.withdraw(connection, ids)
            queue.push(connection, Lane.BULK, ids, at_front=True)
    return submission


def resubmit(
    batch: Batch, jobs: Sequence[Job], *, store: Store, connection: Redis | None, dead: Collection[str] = ()
) -> Submission:
    """Ask again what these jobs asked, as new jobs: terminal states are final.

    Without a connection only the rows are written, and the next worker gives them their entries. `batch` and `dead` are those
    of `submit`.
    """
    store.add_batch(batch)
    submission = Submission()
    for chunk in chunked(jobs, CHUNK):
        taken = store.take_up([copy_of(job, batch, job.roots) for job in chunk], batch.id, dead)
        submission.count(taken)
        if connection is not None:
            for lane in Lane:
                queue.push(connection, lane, [job.id for job in taken.new if job.lane == lane])
            announce(taken.superseded, store=store, connection=connection)
    return submission


def copy_of(job: Job, batch: Batch, roots: str | None) -> Job:
    """A new job that asks the same. `roots`: see `Job.roots`."""
    asked = {"model", "request", "digest", "source", "output", "lane", "streamed"}
    return Job(batch_id=batch.id, roots=roots, **job.model_dump(include=asked))


def job_about(wanted: Wanted, question: Question, batch: Batch, roots: str | None = None) -> Job:
    """The row of one image of a batch. `roots`: see `Job.roots`."""
    request = question.about(wanted.image)
    return Job(
        batch_id=batch.id,
        lane=Lane.BULK,
        model=question.model,
        request=request.model_dump_json(),
        digest=request.digest,
        source=wanted.image.as_uri(),
        output=wanted.output.as_uri(),
        roots=roots,
    )
