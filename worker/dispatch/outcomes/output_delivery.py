"""The last step of a job with a text file: the file is written only if no other text was written since the job was queued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from jobs.captions.outputs.embedding import embed_caption
from jobs.captions.outputs.recorded_write import write_recorded
from jobs.captions.outputs.side_files import SideFiles
from jobs.captions.text_files import check_place, decode_text, fingerprint, is_blank, read_output, shown, text_bytes
from jobs.captions.wording.composition import composed, joined
from jobs.errors import OutputChangedError, OutputError
from jobs.requests import path_of
from jobs.store.store import FileChange, Result, Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles


def kept_result(job: Job) -> Result | None:
    """Return the result of an earlier attempt, or of the job that was retried, whose file could not be written; None: none.

    The file is written from it, and nothing is generated.
    """
    if job.output is None or job.text is None or job.finish_reason is None:
        return None
    values = {field.name: getattr(job, field.name) for field in fields(Result)}
    # A job with an output has no tools, and one answer.
    values |= {"tool_calls": None, "choices": None}
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
        return _write_text(job, path_of(job.output), text, store, writer)


def deliver_beside(job: Job, text: str, result: Result, store: Store, writer: str) -> None:
    """Write the files that the job's options choose beside the text, after the text.

    They hold the text that is made from the answer, without a text that it was added to. Raises OutputError, ForbiddenError.
    """
    with _answer_kept(job):
        SideFiles(store, writer).write(job, _new_text(job, text), result, job.parsed_delivery())


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


def _new_text(job: Job, answer: str) -> str:
    return composed(answer, job.parsed_delivery(), free_text=job.parsed_request().response_format is None)


def _write_text(job: Job, path: Path, text: str, store: Store, writer: str) -> bool:
    """Make the file's text from the answer, and write it in place of the text that is there, or add it to that text."""
    # Checked again: since the folder was walked, a link may have been put in the file's place.
    check_place(path, job.parsed_roots())
    options, files, added = job.parsed_delivery(), WrittenFiles(store.engine), _new_text(job, text)
    output_text = None if added == text else added
    if not options.writes_text:
        kept = FileChange(job.output_before, job.output_after, output_text, job.previous_text)
        return store.keep_answer(job.id, text, kept) and _embedded(job, added, store, writer)
    there, content = read_output(path), text_bytes(added)
    previous = _previous(job, there, content, joins=options.joins)
    if options.joins and previous is not None and not is_blank(previous):
        content = text_bytes(joined(added, decode_text(previous, path), options))
    # The row comes first: from here on it knows the file as its own, as it is and as it will be, and keeps the text before.
    change = FileChange(fingerprint(there), fingerprint(content), output_text, previous)
    if not store.keep_answer(job.id, text, change):
        return False
    _embedded(job, added, store, writer)
    if not write_recorded(path, content, replaces=there, job_id=job.id, kind="txt", files=files, writer=writer):
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
