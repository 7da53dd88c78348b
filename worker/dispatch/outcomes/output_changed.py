"""The decision that a job ends with `output_changed`: its file holds a text that the job does not know."""

from __future__ import annotations

from jobs.captions.text_files import fingerprint, shown, text_bytes
from jobs.errors import OutputChangedError
from jobs.requests import path_of
from jobs.store.tables import Job


def content_before(job: Job, there: bytes | None, new: bytes, *, joins: bool) -> bytes | None:
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
    raise output_changed(job)


def output_changed(job: Job) -> OutputChangedError:
    """Make the error of a job whose file was written or changed by others."""
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left as it is. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
