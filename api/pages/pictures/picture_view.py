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
