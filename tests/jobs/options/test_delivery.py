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


def test_keyword_presets_write_keywords_only_where_photo_programs_keep_them() -> None:
    """A text file of keywords is a text as before. Whether foreign descriptions are replaced is stored with a sidecar."""
    assert DeliveryOptions.of(CaptionOptions(preset="tags")).stored is None
    delivery = DeliveryOptions.of(CaptionOptions(preset="tags", output=("xmp",), existing="replace", force=True))
    assert delivery.keywords
    assert delivery.stored is not None
    assert DeliveryOptions.model_validate_json(delivery.stored) == delivery


def test_metadata_beside_a_text_that_stays_changes_nothing_of_it() -> None:
    """The separator is stored for joined texts only; the rest for sidecars and images."""
    joins = DeliveryOptions(existing="prepend", separator="; ", output=("txt", "xmp"))
    assert DeliveryOptions.model_validate_json(joins.stored or "") == joins
    assert DeliveryOptions(separator="; ", output=("xmp",)).stored == DeliveryOptions(output=("xmp",)).stored
    forced = DeliveryOptions(existing="replace", force=True, embed=True)
    assert DeliveryOptions.model_validate_json(forced.stored or "") == forced
