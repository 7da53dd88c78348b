"""The last step of a job with a text file: the file is written only if no other text was written since the job was queued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from jobs.captions.embedding import embed_caption
from jobs.captions.recorded_write import write_recorded
from jobs.captions.side_files import SideFiles
from jobs.captions.text_files import check_place, fingerprint, read_output, shown, text_bytes
from jobs.errors import OutputChangedError, OutputError
from jobs.requests import path_of
from jobs.store.store import Result, Store
from jobs.store.tables import Job
from jobs.store.written_files import WrittenFiles


def kept_result(job: Job) -> Result | None:
    """Return the result of an earlier attempt, or of the job that was retried, whose file could not be written; None: none.

    The file is written from it, and nothing is generated.
    """
    if job.output is None or job.text is None or job.finish_reason is None:
        return None
    values = {field.name: getattr(job, field.name) for field in fields(Result)}
    return Result(**values | {"logprobs": json.loads(job.logprobs) if job.logprobs else None})


def deliver(job: Job, text: str, store: Store, writer: str) -> bool:
    """Write the job's text file, if it has one. False: the job was cancelled meanwhile, and nothing was written.

    Raises:
        OutputChangedError: the file is neither as it was when the job was queued, nor this job's own of an earlier attempt. The
            file is left as it is.
        OutputOccupiedError: a folder, a link, a special file or a picture is in the file's place.
        OutputForbiddenError, OutputError, ForbiddenError: the file cannot be written.
    """
    assert job.output is not None
    with _answer_kept(job):
        return _deliver(job, path_of(job.output), text, store, writer)


def deliver_beside(job: Job, text: str, result: Result, store: Store, writer: str) -> None:
    """Write the files that the job's options choose beside the text, after the text. Raises OutputError, ForbiddenError."""
    with _answer_kept(job):
        SideFiles(store, writer).write(job, text, result, job.parsed_delivery())


@contextmanager
def _answer_kept(job: Job) -> Iterator[None]:
    """Add to the errors of the block how the file can be written later."""
    try:
        yield
    except OutputChangedError:
        raise
    except OutputError as error:
        kept = f"The answer is kept; to write it: captionq jobs retry {job.batch_id or job.id}"
        raise type(error)(f"{error.message} {kept}") from error


def _deliver(job: Job, path: Path, text: str, store: Store, writer: str) -> bool:
    # Checked again: since the folder was walked, a link may have been put in the file's place.
    check_place(path, job.parsed_roots())
    delivery, files = job.parsed_delivery(), WrittenFiles(store.engine)
    if not delivery.writes_text:
        return store.keep_answer(job.id, text, None) and _embedded(job, text, store, writer)
    content, there = text_bytes(text), read_output(path)
    own = [content] if job.text is None else [content, text_bytes(job.text)]
    if there is None or there in own:
        previous = job.previous_text
    elif fingerprint(there) == job.output_before:
        previous = there
    else:
        raise _changed(job)
    # The row comes first: from here on it knows the file as its own, and keeps the text that is replaced.
    if not store.keep_answer(job.id, text, previous):
        return False
    _embedded(job, text, store, writer)
    if not write_recorded(path, content, replaces=there, job_id=job.id, kind="txt", files=files, writer=writer):
        raise _changed(job)
    return True


def _embedded(job: Job, text: str, store: Store, writer: str) -> bool:
    """Write the caption into the image file, if the job's options say so. Before the text: no image is newer than its text."""
    if job.parsed_delivery().embed:
        embed_caption(job, text, store, writer)
    return True


def _changed(job: Job) -> OutputChangedError:
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left as it is. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
