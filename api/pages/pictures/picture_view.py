"""One picture of a run as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from api.schemas.job import error_of, source_name
from jobs.safe_text import safe_text
from jobs.store.tables import OPEN, Job, JobStatus

#: Why a person should look at an answer, by its `quality`, and the remedy.
_DOUBTS = {
    "empty": "The answer is empty. Ask again, or write the caption.",
    "repetition": "The answer repeats itself. Ask again, or shorten the caption.",
    "cut_off": "The answer was cut off at the most tokens. Ask again with more, or complete the caption.",
    "refusal": "The model refuses to answer. Ask again with another prompt.",
    "wrong_language": "The answer is in another language than was asked for. Ask again, or translate the caption.",
    "truncated_image": "The file of the picture is cut off, so the model saw a part. Replace the file, and ask again.",
}


#: The remedy for a picture that could not be used, by the error's code.
_REMEDIES = {
    "image_parse_error": "Open the file in another program, save it as JPEG or PNG, and ask again.",
    "image_file_not_found": "Put the file back where it was, and ask again.",
    "image_not_reached": "Mount the folder on a Mac with a worker, and ask again.",
    "image_file_not_downloaded": "Then ask again.",
    "empty_image_file": "Replace the file by a whole one, and ask again.",
    "image_too_large": "Make the picture smaller, and ask again.",
    "image_too_slow": "Save the picture as JPEG or PNG, and ask again.",
    "unsupported_image_media_type": "Save the picture as JPEG or PNG, and ask again.",
    "image_file_forbidden": "Allow captionq to read the file, and ask again.",
    "invalid_image_url": "Send the picture again with an address that begins with https://.",
    "invalid_base64_image": "Send the picture again.",
    "failed_to_download_image": "Check that the address still leads to the picture, and ask again.",
}


@dataclass(frozen=True)
class PictureView:
    """A picture with its caption and its state. Every text may come from strangers: templates escape it."""

    id: str
    run_id: str
    name: str
    status: str
    #: The person's text or the model's; empty while there is none.
    caption: str
    #: Why the picture failed or needs a person, and the remedy; None: all is well.
    reason: str | None
    is_open: bool
    is_edited: bool
    is_cached: bool


def picture_view(job: Job) -> PictureView:
    """Return the view of a job that belongs to a run."""
    error = error_of(job)
    reason = error.message if error is not None else _DOUBTS.get(job.quality or "")
    if error is not None and (remedy := _REMEDIES.get(error.code or "")) is not None:
        reason = f"{error.message} {remedy}"
    if job.status == JobStatus.SUCCEEDED and job.reviewed_at is not None:
        reason = None
    has_text = job.status in (JobStatus.SUCCEEDED, JobStatus.FAILED)
    return PictureView(
        id=job.id,
        run_id=job.batch_id or "",
        name=safe_text(source_name(job) or job.id),
        status=job.status,
        caption=safe_text(job.caption or "", lines=True) if has_text else "",
        reason=None if reason is None else safe_text(reason, lines=True),
        is_open=job.status in OPEN,
        is_edited=job.edited_text is not None,
        is_cached=job.cached,
    )
