"""The settings with which a flawed answer is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.creation.changed_question import HIGHEST_PENALTY, changed_question
from jobs.request_defaults import MAX_TOKENS
from jobs.requests import Request
from jobs.sampling import Sampling


def changed(quality: str | None, tokens: int = 5, **sampling: object) -> Sampling | None:
    """Return the settings of the next question."""
    image = Path("/pictures/a.jpg")
    asked = Request.about_image(image, model="demo", prompt="What?", sampling=Sampling.model_validate(sampling))
    question = changed_question(asked, quality, tokens)
    assert question is None or question.messages == asked.messages
    return None if question is None else question.sampling


def test_an_answer_that_was_cut_off_gets_twice_the_tokens() -> None:
    """Up to the limit of captionq; an answer that the model's context has cut off cannot get more."""
    assert changed("cut_off", 256) == Sampling(max_tokens=512)
    assert changed("cut_off", MAX_TOKENS - 1, max_tokens=MAX_TOKENS - 1) == Sampling(max_tokens=MAX_TOKENS)
    assert changed("cut_off", MAX_TOKENS, max_tokens=MAX_TOKENS) is None
    assert changed("cut_off", 200) is None


def test_a_loop_gets_a_penalty_and_a_little_variety() -> None:
    """With a seed, so that the same folder gets the same answers; the penalty grows to a limit, and a higher one stays."""
    once = changed("repetition")
    assert once == Sampling(repetition_penalty=1.1, temperature=0.3, seed=0)
    twice = changed("repetition", **once.model_dump())
    assert twice is not None
    assert twice.repetition_penalty == pytest.approx(1.2)
    assert twice.seed == 1
    again = changed("repetition", repetition_penalty=1.7, temperature=1.0, seed=2**63 - 1)
    assert again == Sampling(repetition_penalty=1.7, temperature=1.0, seed=0)
    assert HIGHEST_PENALTY < 1.7


@pytest.mark.parametrize("quality", ["empty", "refusal", None])
def test_silence_and_refusals_get_variety(quality: str | None) -> None:
    """So does a question that a person asks again without a flaw."""
    assert changed(quality) == Sampling(temperature=0.5, seed=0)


def test_a_truncated_image_is_not_asked_about_again() -> None:
    """No setting brings its last rows back."""
    assert changed("truncated_image") is None
