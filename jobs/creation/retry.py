"""Retries by hand: jobs that ended are asked again as new jobs, for terminal states are final."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import fields

from redis import Redis

from jobs.captions.own_texts import is_own
from jobs.captions.text_files import fingerprint, is_blank, read_output
from jobs.chunks import chunked
from jobs.creation.cancel import announce
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.folder_run import Submission
from jobs.errors import (
    MissingToolError,
    OutputChangedError,
    OutputError,
    OutputForbiddenError,
    OutputOccupiedError,
)
from jobs.queue.feeding import enqueue
from jobs.requests import path_of
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane
from jobs.store.written.written_texts import WrittenText

#: The codes of jobs whose answer is there, and whose file could not be written.
OUTPUT_CODES = frozenset(
    error.code
    for error in (OutputError, OutputForbiddenError, OutputOccupiedError, OutputChangedError, MissingToolError)
)


def resubmit(
    batch: Batch,
    jobs: Sequence[Job],
    *,
    store: Store,
    connection: Redis | None,
    dead: Collection[str] = (),
    force: bool = False,
) -> Submission:
    """Queue new jobs that ask the same as `jobs`.

    Args:
        batch: of the new jobs; it is added to the store.
        jobs: that have ended.
        store: gets the rows.
        connection: None: only the rows are written, and the next worker sees them.
        dead: see `FolderRun`.
        force: see `expect_current_texts`.
    """
    store.add_batch(batch)
    submission = Submission()
    for chunk in chunked(jobs, JOBS_A_TRANSACTION):
        new = expect_current_texts([copy_of(job, batch, job.roots) for job in chunk], store, force=force)
        taken = store.take_up(new, batch.id, dead)
        submission.count(taken)
        if connection is not None:
            for lane in Lane:
                waiting = [job.id for job in taken.new if job.lane == lane and job.error_code is None]
                enqueue(store, connection, lane, waiting)
            announce(taken.superseded, store=store, connection=connection)
    return submission


def expect_current_texts(jobs: list[Job], store: Store, *, force: bool = False) -> list[Job]:
    """Let new jobs replace the texts that exist now, if captionq wrote them; with `force` any text. Returns the jobs.

    Jobs that add to a text may add to any. If a person wrote or changed a text that is to be replaced, its job expects the text
    that the job before it expected, and leaves the text as it is.
    """
    written = store.written([job.output for job in jobs if job.output is not None])
    for job in jobs:
        if job.output is not None:
            # A file that is not a text ends the job when its answer is there.
            with suppress(OutputError):
                content = read_output(path_of(job.output))
                if _may_change(job, content, written.get(job.output, ()), force=force):
                    job.expect_text(fingerprint(content))
    return jobs


def _may_change(job: Job, content: bytes | None, written: Sequence[WrittenText], *, force: bool) -> bool:
    if content is None or force or is_blank(content) or job.parsed_delivery().joins:
        return True
    return is_own(content, written)


def copy_of(job: Job, batch: Batch, roots: str | None) -> Job:
    """Make a new job that asks the same. If only the old job's file could not be written, the new job has its answer.

    `roots`: see `Job.roots`.
    """
    copied = {
        "model",
        "request",
        "digest",
        "source",
        "output",
        "output_before",
        "delivery",
        "lane",
        "streamed",
        "question",
    }
    # If the old job's worker died after it had written the file, the new job knows the file.
    copied |= {"output_after", "output_text", "previous_text"}
    if job.finish_reason is not None and job.error_code in OUTPUT_CODES:
        copied |= {field.name for field in fields(Result)}
    return Job(batch_id=batch.id, roots=roots, **job.model_dump(include=copied))
