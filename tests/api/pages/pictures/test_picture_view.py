"""The sentence beneath a picture that failed."""

from __future__ import annotations

import jobs.errors.images as image_errors
from api.pages.pictures.picture_view import picture_view
from jobs.errors import ImageError
from jobs.store.tables import Batch, JobStatus
from tests.support.rows import make_job


def test_every_error_of_an_image_says_why_and_what_to_do() -> None:
    """The reason names the culprit, and a sentence after it has the remedy."""
    kinds = [one for one in vars(image_errors).values() if isinstance(one, type) and issubclass(one, ImageError)]
    assert len(kinds) > 10
    for kind in kinds:
        job = make_job("a", Batch(description="pictures", model="demo"))
        job.status, job.error_code, job.error_message = JobStatus.FAILED, kind.code, "a.jpg is <b>odd</b>\x1b."
        reason = picture_view(job).reason or ""
        # The details of a fault of this machine are for its log only.
        assert reason.startswith("a.jpg is <b>odd</b>\\x1b. ") or kind.status >= 500
        assert reason.endswith(("ask again.", "Send the picture again.", "https://.")), kind
