"""The last step of a job with a text file: the file is written only if no other text was written since the job was queued."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from jobs.captions.text_files import check_place, fingerprint, read_output, shown, text_bytes, write_output
from jobs.errors import OutputChangedError, OutputError
from jobs.requests import path_of
from jobs.store.store import Result, Store
from jobs.store.tables import Job


def kept_result(job: Job) -> Result | None:
    """Return the result of an earlier attempt, or of the job that was retried, whose file could not be written; None: none.

    The file is written from it, and nothing is generated.
    """
    if job.output is None or job.text is None or job.finish_reason is None:
        return None
    values = {field.name: getattr(job, field.name) for field in fields(Result)}
    return Result(**values | {"logprobs": json.loads(job.logprobs) if job.logprobs else None})


def deliver(job: Job, text: str, store: Store, writer: str) -> bool:
    """Write the job's text file. False: the job was cancelled meanwhile, and nothing was written.

    Raises:
        OutputChangedError: the file is neither as it was when the job was queued, nor this job's own of an earlier attempt. The
            file is left as it is.
        OutputOccupiedError: a folder, a link, a special file or a picture is in the file's place.
        OutputForbiddenError, OutputError, ForbiddenError: the file cannot be written.
    """
    assert job.output is not None
    path = path_of(job.output)
    try:
        return _deliver(job, path, text, store, writer)
    except OutputChangedError:
        raise
    except OutputError as error:
        kept = f"The answer is kept; to write it: captionq jobs retry {job.batch_id or job.id}"
        raise type(error)(f"{error.message} {kept}") from error


def _deliver(job: Job, path: Path, text: str, store: Store, writer: str) -> bool:
    # Checked again: since the folder was walked, a link may have been put in the file's place.
    check_place(path, job.parsed_roots())
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
    if there != content and not write_output(path, content, replaces=there, writer=writer):
        raise _changed(job)
    return True


def _changed(job: Job) -> OutputChangedError:
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left as it is. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
