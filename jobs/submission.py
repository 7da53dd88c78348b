"""From a list of image files to queued jobs: what is there already is skipped, what is queued already is taken over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from redis import Redis

from jobs import queue
from jobs.chunks import chunked
from jobs.outputs import Sidecars
from jobs.requests import Request, Sampling
from jobs.response_format import ResponseFormat
from jobs.store import Store
from jobs.tables import Batch, Job, Lane

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


@dataclass
class Submission:
    """What became of the images of a run."""

    batch: Batch
    queued: int = 0
    #: Queued by an earlier run of the same command that was interrupted.
    resumed: int = 0


def without_text(images: Iterable[Path], existing: Existing) -> Iterator[Wanted | None]:
    """Each image that needs a text; None for one that is skipped, because it has its text file."""
    sidecars = Sidecars()
    for image in images:
        output = sidecars.path_for(image)
        skipped = existing is Existing.SKIP and os.path.lexists(output)
        yield None if skipped else Wanted(image, output)


def submit(
    wanted: Sequence[Wanted],
    question: Question,
    *,
    store: Store,
    connection: Redis,
    description: str,
    at_front: bool = False,
) -> Submission:
    """Queue a job an image in a batch of its own, rows first, a chunk at a time. `at_front`: ahead of what waits already.

    A bad image raises nothing here: its job will fail.
    """
    batch = Batch(description=description, model=question.model)
    store.add_batch(batch)
    submission = Submission(batch)
    waiting = store.open_outputs()
    chunks = list(chunked(wanted, CHUNK))
    if at_front:
        # Each one goes ahead of the one before it.
        chunks.reverse()
    for chunk in chunks:
        jobs = [job_about(one, question, batch) for one in chunk]
        new: list[Job] = []
        resumed: list[str] = []
        superseded: list[str] = []
        for job in jobs:
            earlier = waiting.get(job.output or "")
            if earlier is not None and earlier.digest == job.digest:
                resumed.append(earlier.id)
                continue
            if earlier is not None:
                # Two jobs that write the same file would leave the text of whichever ends last: the newer question wins.
                superseded.append(earlier.id)
            new.append(job)
        queue.withdraw(connection, store.cancel(superseded))
        submission.resumed += store.adopt(resumed, batch.id)
        if new:
            store.add(new)
        submission.queued += len(new)
        if at_front:
            queue.withdraw(connection, resumed)
            queue.push(connection, Lane.BULK, resumed, at_front=True)
        queue.push(connection, Lane.BULK, [job.id for job in new], at_front=at_front)
    return submission


def resubmit(batch: Batch, jobs: Sequence[Job], *, store: Store, connection: Redis | None) -> None:
    """Ask again what these jobs asked, as new jobs of a batch that is in the store: terminal states are final.

    Without a connection the rows are written alone, and the next worker gives them their entries.
    """
    for chunk in chunked(jobs, CHUNK):
        new = [copy_of(job, batch, job.roots) for job in chunk]
        store.add(new)
        for lane in Lane:
            ids = [job.id for job in new if job.lane == lane]
            if connection is not None and ids:
                queue.push(connection, lane, ids)


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
