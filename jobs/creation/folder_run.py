"""From a list of image files to queued jobs.

An image that has its text is skipped. One that is queued already gets no second job: a dead run's job is taken over, a live
one's is followed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from redis import Redis

from jobs.captions.output_names import is_text_name
from jobs.captions.sidecars import Sidecars
from jobs.captions.temporary_files import sweep_stale
from jobs.captions.text_files import fingerprint, is_own, read_output, shown
from jobs.chunks import chunked
from jobs.creation.cancel import announce
from jobs.errors import CaptionqError, OutputError, OutputOccupiedError
from jobs.queue import lanes
from jobs.requests import Request, Sampling, path_of
from jobs.response_format import ResponseFormat
from jobs.store.output_writers import TakenUp, Writer
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane

#: Rows a transaction, and entries a push: the worker gets its turn in between.
CHUNK = 500


class Existing(StrEnum):
    """What happens to an image that has its text file already."""

    SKIP = "skip"  #: nothing; it costs nothing
    REPLACE = "replace"  #: it is captioned again, and the file is replaced when the new text is there: one that captionq wrote


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
    #: The fingerprint of the text that is to be replaced; None: there is none.
    before: str | None = None
    #: Why no text can be written: the image's job fails at once.
    refusal: CaptionqError | None = None


@dataclass(frozen=True)
class Skipped:
    """An image that has its text, and keeps it."""

    image: Path
    output: Path


@dataclass(frozen=True)
class WrittenByHand(Skipped):
    """An image whose text was to be replaced, but a person wrote or changed it."""


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


def without_text(
    images: Iterable[Path], existing: Existing, *, store: Store, force: bool = False, named: Sequence[Path] = ()
) -> Iterator[Wanted | Skipped]:
    """What becomes of each image: it needs a text, or is skipped because of the text that it has.

    With `Existing.REPLACE` only texts that captionq wrote are replaced; with `force` also those that a person wrote or changed.
    `named`: the files and folders that were named; none of them is ever taken for a text.
    """
    sources = {_identity(path) for path in named if is_text_name(path.name)}
    for chunk in chunked(_placed(images), CHUNK):
        there = [output.as_uri() for _, output, is_there in chunk if is_there]
        written = store.written(there) if there else {}
        for image, output, is_there in chunk:
            if not is_there:
                yield Wanted(image, output)
                continue
            own = written.get(output.as_uri(), set())
            if own and existing is Existing.SKIP:
                yield Skipped(image, output)
                continue
            try:
                if _identity(output) in sources:
                    raise OutputOccupiedError(f"{shown(output)} is one of the images, so no text can be written there.")
                content = _content(output, existing)
            except OutputError as error:
                yield Wanted(image, output, refusal=error)
                continue
            yield _judge(image, output, content, own, existing, force=force)


def _content(output: Path, existing: Existing) -> bytes | None:
    if existing is Existing.SKIP and output.is_symlink() and output.exists():
        # Nothing will be written there, so a link to a text is a text.
        with suppress(OutputOccupiedError):
            return read_output(Path(os.path.realpath(output)))
    return read_output(output)


def _judge(
    image: Path, output: Path, content: bytes | None, own: Collection[str], existing: Existing, *, force: bool
) -> Wanted | Skipped:
    if content is None or force or (existing is Existing.REPLACE and is_own(content, own)):
        return Wanted(image, output, before=fingerprint(content))
    return Skipped(image, output) if existing is Existing.SKIP else WrittenByHand(image, output)


def _placed(images: Iterable[Path]) -> Iterator[tuple[Path, Path, bool]]:
    """Each image, its text file, and whether that is there. An image that is named twice, in two ways, comes once."""
    sidecars, given = Sidecars(), set[Path]()
    folder = None
    for image in images:
        if sidecars.folder_of(image) is not folder:
            folder = sidecars.folder_of(image)
            sweep_stale(folder.path, folder.names)
        output = sidecars.path_for(image)
        if output not in given:
            given.add(output)
            yield image, output, sidecars.is_there(output)


def _identity(path: Path) -> tuple[int, int] | None:
    """What is the same for two names of one file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


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
        with lanes.rows_first():
            lanes.push(connection, Lane.BULK, taken.queued, at_front=at_front)
            announce(taken.superseded, store=store, connection=connection)
        resumed.append(taken.resumed)
        submission.count(taken)
    if at_front:
        ids = [job_id for chunk_ids in reversed(resumed) for job_id in chunk_ids]
        with lanes.rows_first():
            lanes.withdraw(connection, ids)
            lanes.push(connection, Lane.BULK, ids, at_front=True)
    return submission


def resubmit(
    batch: Batch,
    jobs: Sequence[Job],
    *,
    store: Store,
    connection: Redis | None,
    dead: Collection[str] = (),
    force: bool = False,
) -> Submission:
    """Ask again what these jobs asked, as new jobs: terminal states are final.

    Without a connection only the rows are written, and the next worker gives them their entries. `batch` and `dead` are those
    of `submit`. `force`: see `look_again`.
    """
    store.add_batch(batch)
    submission = Submission()
    for chunk in chunked(jobs, CHUNK):
        new = look_again([copy_of(job, batch, job.roots) for job in chunk], store, force=force)
        taken = store.take_up(new, batch.id, dead)
        submission.count(taken)
        if connection is not None:
            for lane in Lane:
                lanes.push(
                    connection, lane, [job.id for job in taken.new if job.lane == lane and job.error_code is None]
                )
            announce(taken.superseded, store=store, connection=connection)
    return submission


def look_again(jobs: list[Job], store: Store, *, force: bool = False) -> list[Job]:
    """New jobs that may replace the texts that are there now, where captionq wrote them; with `force` any text.

    A job whose text a person wrote or changed expects what the job before it expected, and leaves the text alone.
    """
    written = store.written([job.output for job in jobs if job.output is not None])
    for job in jobs:
        if job.output is not None:
            # What is no text ends the job when its answer is there.
            with suppress(OutputError):
                content = read_output(path_of(job.output))
                if content is None or force or is_own(content, written.get(job.output, ())):
                    job.output_before = fingerprint(content)
    return jobs


def copy_of(job: Job, batch: Batch, roots: str | None) -> Job:
    """A new job that asks the same. `roots`: see `Job.roots`."""
    asked = {"model", "request", "digest", "source", "output", "output_before", "lane", "streamed"}
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
        output_before=wanted.before,
        roots=roots,
        error_code=None if wanted.refusal is None else wanted.refusal.code,
        error_message=None if wanted.refusal is None else wanted.refusal.message,
    )
