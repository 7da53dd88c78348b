"""The last step of a job with a text file: the file is written only if no other text was written since the job was queued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from jobs.captions.outputs.embedding import embed_caption
from jobs.captions.outputs.exiftool import ExifTool
from jobs.captions.outputs.recorded_write import write_recorded
from jobs.captions.outputs.side_files import SideFiles
from jobs.captions.text_files import check_place, decode_text, fingerprint, is_blank, read_output, text_bytes
from jobs.captions.wording.composition import composed, joined
from jobs.errors import NotEmbeddableError, OutputChangedError, OutputDiskFullError, OutputError
from jobs.requests import path_of
from jobs.store.claims import Claim
from jobs.store.result import FileChange, Result
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles
from worker.dispatch.outcomes.output_changed import content_before, output_changed


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


def deliver(job: Job, text: str, store: Store, writer: str, exiftool: ExifTool | None = None) -> bool:
    """Write the job's text file, if it has one. False: the job was cancelled meanwhile, and nothing was written.

    `exiftool`: embeds the caption if the job's options say so; None: a process for this image only.

    Raises:
        OutputChangedError: the file is neither as it was when the job was queued, nor this job's own of an earlier attempt. The
            file is left as it is.
        OutputOccupiedError: a folder, a link, a special file or a picture is in the file's place.
        OutputForbiddenError, OutputError, ForbiddenError: the file cannot be written.
    """
    assert job.output is not None
    with _answer_kept(job):
        return _write_text(job, path_of(job.output), text, store, writer, exiftool)


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
    except (OutputChangedError, OutputDiskFullError, NotEmbeddableError):
        # Without room the worker writes the file later by itself, and an image that takes no caption will take none next time.
        raise
    except OutputError as error:
        kept = f"The answer is kept; to write it: captionq jobs retry {job.batch_id or job.id}"
        raise type(error)(f"{error.message} {kept}") from error


def _new_text(job: Job, answer: str) -> str:
    return composed(answer, job.parsed_delivery(), free_text=job.parsed_request().response_format is None)


def _write_text(job: Job, path: Path, text: str, store: Store, writer: str, exiftool: ExifTool | None) -> bool:
    """Make the file's text from the answer, and write it in place of the text that is there, or add it to that text."""
    # Checked again: since the folder was walked, a link may have been put in the file's place.
    check_place(path, job.parsed_roots())
    options, files, added = job.parsed_delivery(), WrittenFiles(store.engine), _new_text(job, text)
    output_text = None if added == text else added
    if not options.writes_text:
        kept = FileChange(job.output_before, job.output_after, output_text, job.previous_text)
        return store.keep_answer(Claim.of(job), text, kept) and _embedded(job, added, store, writer, exiftool)
    there, content = read_output(path), text_bytes(added)
    previous = content_before(job, there, content, store, joins=options.joins)
    if options.joins and previous is not None and not is_blank(previous):
        content = text_bytes(joined(added, decode_text(previous, path), options))
    # The row comes first: from here on it knows the file as its own, as it is and as it will be, and keeps the text before.
    change = FileChange(fingerprint(there), fingerprint(content), output_text, previous)
    if not store.keep_answer(Claim.of(job), text, change):
        return False
    _embedded(job, added, store, writer, exiftool)
    if not write_recorded(path, content, replaces=there, job=job, kind="txt", files=files, writer=writer):
        raise output_changed(job)
    return True


def _embedded(job: Job, text: str, store: Store, writer: str, exiftool: ExifTool | None) -> bool:
    """Write the caption into the image file, if the job's options say so. Before the text: no image is newer than its text."""
    if not job.parsed_delivery().embed:
        return True
    if exiftool is None:
        with ExifTool() as own:
            embed_caption(job, text, store, writer, own)
    else:
        embed_caption(job, text, store, writer, exiftool)
    return True
