"""Requests of a run: the row of an image has the same request and digest as if it were made alone."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jobs.creation.existing_texts import PendingImage
from jobs.creation.question import Question, digest_with, job_about
from jobs.options.caption_options import CaptionOptions
from jobs.options.prompts.weighted_prompts import WeightedPrompt
from jobs.requests import Request, address_of
from jobs.store.tables import Batch

NAMES = st.binary(min_size=1, max_size=30).map(lambda name: name.replace(b"/", b"").replace(b"\0", b"") or b"a")
OPTIONS = CaptionOptions(prompt='Say "file:///" and {"url":"x"}.', seed=3, temperature=0.5)


@given(st.lists(NAMES, min_size=1, max_size=3), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_a_template_gives_the_request_that_is_built_for_the_image(names: list[bytes], prompts: list[str]) -> None:
    """For every name that a file may have, and whichever prompt the image gets."""
    wordings = [WeightedPrompt(prompt=prompt.replace("{", "(")) for prompt in prompts]
    question = Question("demo", wordings, OPTIONS.sampling, others={"max_words": 9})
    batch = Batch(description="test", model="demo")
    for name in names:
        image = Path("/pictures") / os.fsdecode(name)
        job = job_about(PendingImage.at(image, image.with_name("text.txt")), question, batch)
        alone = question.about(image)
        assert address_of(image) == image.as_uri()
        assert (job.request, job.digest, job.source) == (alone.stored, alone.digest, image.as_uri())
        assert job.parsed_request() == alone
        assert question.digest_of(image) == job.digest


def test_a_stored_request_leaves_out_only_what_is_at_its_default() -> None:
    """An option that is set is in the row, and the request is read again as it was."""
    image = Path("/pictures/photo.jpg")
    plain = Question.of(CaptionOptions(prompt="What?"), "demo", None)
    asked = plain.about(image)
    assert len(asked.stored) < len(asked.model_dump_json()) * 0.7
    assert Request.model_validate_json(asked.stored) == asked
    set_ = Question.of(OPTIONS, "demo", None).about(image)
    assert Request.model_validate_json(set_.stored) == set_
    assert set_.digest != asked.digest


def test_a_delivery_is_part_of_the_digest() -> None:
    """Jobs that ask the same and deliver otherwise are different jobs."""
    image = PendingImage.at(Path("/pictures/photo.jpg"), Path("/pictures/photo.txt"))
    question = Question.of(CaptionOptions(prompt="What?", existing="append"), "demo", None)
    job = job_about(image, question, Batch(description="test", model="demo"))
    assert job.delivery is not None
    assert job.digest == digest_with(question.about(image.image).digest, job.delivery)
