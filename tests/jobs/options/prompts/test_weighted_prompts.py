"""Several prompts of one run: a choice by weight that every run repeats."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.creation.question import Question
from jobs.options.caption_options import QuestionOptions
from jobs.options.prompts.weighted_prompts import WeightedPrompt, choose_prompt

PROMPTS = (WeightedPrompt(prompt="often", weight=3), WeightedPrompt(prompt="seldom"))
IMAGES = [f"file:///photos/{number}.jpg" for number in range(2000)]


def test_prompts_are_chosen_by_their_weights_and_always_alike() -> None:
    """Another seed makes another choice."""
    chosen = [choose_prompt(PROMPTS, image, 0) for image in IMAGES]
    assert 1400 < Counter(chosen)["often"] < 1600
    assert chosen == [choose_prompt(PROMPTS, image, 0) for image in IMAGES]
    assert chosen != [choose_prompt(PROMPTS, image, 1) for image in IMAGES]


def test_a_weight_too_small_to_matter_leaves_the_other_prompt() -> None:
    """A file name that is not UTF-8 gets a prompt too."""
    prompts = (WeightedPrompt(prompt="all", weight=1), WeightedPrompt(prompt="none", weight=1e-300))
    assert choose_prompt(prompts, "file:///\udcff.jpg", 0) == "all"
    with pytest.raises(ValidationError):
        WeightedPrompt(prompt="never", weight=0)


def test_each_request_of_a_question_has_one_prompt_with_the_instructions() -> None:
    """The system message stands first, and the other options reach the request."""
    options = QuestionOptions(
        prompts=PROMPTS, system="Be brief.", language="pt-BR", max_words=9, max_pixels=5000, detail="low", cache=False
    )
    question = Question.of(options, "owner/model", None)
    requests = [question.about(Path(f"/photos/{number}.jpg")) for number in range(50)]
    asked = {request.messages[1].texts[0] for request in requests}
    end = " Answer in Brazilian Portuguese. Use at most 9 words."
    assert asked == {f"often{end}", f"seldom{end}"}
    request = requests[0]
    assert (request.messages[0].role, request.messages[0].texts) == ("system", ["Be brief."])
    assert (request.max_pixels, request.max_words, request.cache) == (5000, 9, False)
    assert request.images[0].detail == "low"
