"""The part of a run's options that is stored with each job."""

from __future__ import annotations

from jobs.options.caption_options import CaptionOptions, QuestionOptions
from jobs.options.delivery import DeliveryOptions


def test_a_decision_that_was_made_when_the_job_was_queued_is_not_stored() -> None:
    """A run that skips and a run that replaces ask the same of a job."""
    for options in (CaptionOptions(), CaptionOptions(existing="replace", force=True), QuestionOptions()):
        delivery = DeliveryOptions.of(options if isinstance(options, DeliveryOptions) else None)
        assert delivery.stored is None
