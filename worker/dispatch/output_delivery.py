"""The last step of a job with a text file: the file is written only if no other text was written since the job was queued."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from jobs.captions.composition import composed, joined
from jobs.captions.text_files import (
    check_place,
    decode_text,
    fingerprint,
    is_blank,
    read_output,
    shown,
    text_bytes,
    write_output,
)
from jobs.errors import OutputChangedError, OutputError
from jobs.requests import path_of
from jobs.store.store import FileChange, Result, Store
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
        return _write_text(job, path, text, store, writer)
    except OutputChangedError:
        raise
    except OutputError as error:
        kept = f"The answer is kept; to write it: captionq jobs retry {job.batch_id or job.id}"
        raise type(error)(f"{error.message} {kept}") from error


def _write_text(job: Job, path: Path, text: str, store: Store, writer: str) -> bool:
    """Make the file's text from the answer, and write it in place of the text that is there, or add it to that text."""
    # Checked again: since the folder was walked, a link may have been put in the file's place.
    check_place(path, job.parsed_roots())
    options, there = job.parsed_delivery(), read_output(path)
    added = composed(text, options, free_text=job.parsed_request().response_format is None)
    previous = _previous(job, there, text_bytes(added), joins=options.joins)
    content = text_bytes(added)
    if options.joins and previous is not None and not is_blank(previous):
        content = text_bytes(joined(added, decode_text(previous, path), options))
    # The row comes first: from here on it knows the file as its own, as it is and as it will be, and keeps the text before.
    output_text = None if added == text else added
    change = FileChange(fingerprint(there), fingerprint(content), output_text, previous)
    if not store.keep_answer(job.id, text, change):
        return False
    if there != content and not write_output(path, content, replaces=there, writer=writer):
        raise _changed(job)
    return True


def _previous(job: Job, there: bytes | None, new: bytes, *, joins: bool) -> bytes | None:
    """Return the file's content before the job's first attempt; None: there was no file.

    Args:
        there: the content now.
        new: the new text as a file.
        joins: whether the new text is added to the content.

    Raises OutputChangedError if the content is not known.
    """
    if there is None:
        # A text that a person has removed is not brought back.
        return None if joins else job.previous_text
    if job.output_after is not None and fingerprint(there) in (job.output_before, job.output_after):
        return job.previous_text
    if fingerprint(there) == job.output_before:
        return there
    # Rows of older versions have no hash of the file.
    if not joins and there in (new, None if job.text is None else text_bytes(job.text)):
        return job.previous_text
    raise _changed(job)


def _changed(job: Job) -> OutputChangedError:
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left as it is. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
