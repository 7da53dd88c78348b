"""The last step of a job with a text file: the file is written only where nobody wrote one since the job was queued."""

from __future__ import annotations

from jobs.captions.text_files import check_place, fingerprint, read_output, shown, text_bytes, write_output
from jobs.errors import OutputChangedError
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import Job


def deliver(job: Job, text: str, store: Store, writer: str) -> bool:
    """Write the job's text file. False: the job was cancelled meanwhile, and nothing was written.

    A file that is neither as it was when the job was queued, nor this job's own of an earlier attempt, is left alone. Raises
    OutputChangedError then, OutputOccupiedError for what is no text, and OutputError or ForbiddenError when it cannot be written.
    """
    assert job.output is not None
    path = path_of(job.output)
    # Looked at again: since the folder was walked, a link may have been put in its place.
    check_place(path, job.parsed_roots())
    content, there = text_bytes(text), read_output(path)
    own = [content] if job.text is None else [content, text_bytes(job.text)]
    if there is None or there in own:
        previous = job.previous_text
    elif fingerprint(there) == job.output_before:
        previous = there
    else:
        raise _changed(job)
    # The row comes first: whatever happens from here on, it knows the file as its own, and the text that was replaced.
    if not store.keep_answer(job.id, text, previous):
        return False
    if there != content and not write_output(path, content, replaces=there, writer=writer):
        raise _changed(job)
    return True


def _changed(job: Job) -> OutputChangedError:
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left alone. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
