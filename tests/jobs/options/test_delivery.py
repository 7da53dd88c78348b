"""The part of a run's options that is stored with each job."""

from __future__ import annotations

from jobs.options.caption_options import CaptionOptions, QuestionOptions
from jobs.options.delivery import DeliveryOptions


def test_a_decision_that_was_made_when_the_job_was_queued_is_not_stored() -> None:
    """A run that skips and a run that replaces ask the same of a job."""
    for options in (CaptionOptions(), CaptionOptions(existing="replace", force=True), QuestionOptions()):
        delivery = DeliveryOptions.of(options if isinstance(options, DeliveryOptions) else None)
        assert delivery.stored is None


def test_a_text_that_stays_is_part_of_the_delivery() -> None:
    """A separator matters only then."""
    append = DeliveryOptions.of(CaptionOptions(existing="append", separator="; ", prefix="a "))
    assert append.stored is not None
    assert DeliveryOptions.model_validate_json(append.stored) == append
    assert DeliveryOptions(separator="; ").stored is None


def test_a_filled_template_may_be_long() -> None:
    """Values of metadata make it longer than a template that is typed."""
    long = DeliveryOptions(template="{caption}" + "a" * 50_000)
    assert DeliveryOptions.model_validate_json(long.stored or "") == long
