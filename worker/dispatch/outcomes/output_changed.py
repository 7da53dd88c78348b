"""The decision that a job ends with `output_changed`: its file holds a text that the job does not know."""

from __future__ import annotations

from jobs.captions.text_files import fingerprint, shown, text_bytes
from jobs.errors import OutputChangedError
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_texts import WrittenText


def content_before(job: Job, there: bytes | None, new: bytes, store: Store, *, joins: bool) -> bytes | None:
    """Return the file's content before the job's first attempt; None: there was no file.

    Args:
        there: the content now.
        new: the new text as a file.
        store: knows the texts of other jobs.
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
    if (twin := _twin_of(job, there, store)) is not None:
        return twin.previous_text
    raise output_changed(job)


def _twin_of(job: Job, there: bytes, store: Store) -> WrittenText | None:
    """Find the job with the same question that wrote the file's content since this job was queued; None: there is none.

    A run that begins while a worker ends the jobs of an interrupted run may have looked at the file just before.
    """
    assert job.output is not None
    for text in store.written([job.output]).get(job.output, ()):
        replaced_the_same = fingerprint(text.previous_text) == job.output_before
        if text.digest == job.digest and text.output_after == fingerprint(there) and replaced_the_same:
            return text
    return None


def output_changed(job: Job) -> OutputChangedError:
    """Make the error of a job whose file was written or changed by others."""
    assert job.output is not None
    return OutputChangedError(
        f"{shown(path_of(job.output))} was written or changed after this image was queued; it was left as it is. "
        f"The answer is kept: captionq jobs show {job.id}"
    )
