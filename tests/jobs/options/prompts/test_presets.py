"""Presets: built in and the user's own, and the options that they bring."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.creation.question import Question
from jobs.options.caption_options import CaptionOptions, QuestionOptions
from jobs.options.prompts.presets import BUILT_IN, DEMO_PROMPTS
from jobs.sampling import Sampling
from tools.demo_model import texts


def test_the_presets_that_users_ask_for_are_built_in() -> None:
    """The demo model knows the wordings of those that its examples use."""
    assert list(BUILT_IN) == [
        *("describe", "short", "detailed", "alt-text", "tags", "booru", "product", "accessibility", "ocr")
    ]
    assert set(DEMO_PROMPTS.values()) <= set(texts.CAPTION_PROMPTS)
    assert BUILT_IN["tags"].prompt in texts.KEYWORD_PROMPTS


def test_alt_text_has_at_most_125_characters_unless_the_user_says_otherwise() -> None:
    """The prompt names the limit that the answer is held to. A schema's answer is not cut, and takes the preset also."""
    question = Question.of(QuestionOptions(preset="alt-text"), "owner/model", None)
    request = question.about("blob:x")
    assert (request.max_characters, request.max_words) == (125, None)
    assert request.messages[0].texts[0].endswith(" Use at most 125 characters.")
    limits = QuestionOptions(preset="alt-text", max_characters=80, max_words=9)
    shorter = Question.of(limits, "owner/model", None).about("blob:x")
    assert (shorter.max_characters, shorter.max_words) == (80, 9)
    assert shorter.messages[0].texts[0].endswith(" Use at most 9 words. Use at most 80 characters.")
    assert Question.of(QuestionOptions(preset="alt-text"), "demo", JSONObjectFormat()).response_format is not None


@pytest.mark.parametrize("preset", [None, *BUILT_IN])
def test_presets_that_describe_remove_openers(preset: str | None) -> None:
    """Keywords and copied text have none; the user decides otherwise, and a prompt of the user's is no caption's."""
    question = Question.of(CaptionOptions(preset=preset), "demo", None)
    plain = preset in ("tags", "booru", "ocr")
    assert question.stored_delivery == (None if plain else '{"strip_openers":true}')
    kept = Question.of(CaptionOptions(preset=preset, strip_openers=False), "demo", None)
    assert kept.stored_delivery == '{"strip_openers":false}'
    assert Question.of(CaptionOptions(prompt="What?"), "demo", None).stored_delivery is None


def test_a_run_of_an_older_version_is_recognized() -> None:
    """A preset's choice is no part of the digest by which a repeated run finds what it has added."""
    request = Question.of(CaptionOptions(), "demo", None).about(Path("/x.png"))
    assert Question.of(CaptionOptions(), "demo", None).digest_of(Path("/x.png")) == request.digest


def test_an_option_of_the_run_wins_over_that_of_the_preset() -> None:
    """An option at its default value counts if the user set it."""
    assert QuestionOptions(preset="ocr").sampling == Sampling(max_tokens=2048)
    assert QuestionOptions(preset="ocr", max_tokens=256, seed=3).sampling == Sampling(seed=3)
    assert QuestionOptions(prompt="What?").sampling == Sampling()


def test_presets_of_the_configuration_file_join_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset of the same name replaces the built-in one, also as the default."""
    file = tmp_path / "config.toml"
    file.write_text('[presets.plants]\nprompt = "Plants?"\nstop = ["."]\n[presets.describe]\nprompt = "Tell me."\n')
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(file))
    plants = QuestionOptions(preset="plants")
    assert [one.prompt for one in plants.wordings()] == ["Plants?"]
    assert plants.sampling == Sampling(stop=(".",))
    assert [one.prompt for one in QuestionOptions().wordings()] == ["Tell me."]


def test_an_unknown_preset_is_refused_with_a_suggestion() -> None:
    """Braces in the name are not taken for fields of the message."""
    with pytest.raises(ValidationError, match=r"'tag' \(did you mean tags\?\). Available: describe, short"):
        QuestionOptions(preset="tag")
    with pytest.raises(ValidationError, match=r"\{x\}"):
        QuestionOptions(preset="{x}")


def test_only_one_source_gives_the_prompt() -> None:
    """The error names both."""
    with pytest.raises(ValidationError, match="either a preset or several prompts, not both"):
        QuestionOptions.model_validate({"preset": "tags", "prompts": [{"prompt": "What?"}]})


def test_the_demo_model_is_asked_in_its_own_wordings() -> None:
    """It follows no instructions; other models are asked to leave out openers, and for the language and the length."""
    options = CaptionOptions(language="French", max_words=5)
    (asked,) = options.wordings()
    assert asked.prompt.startswith("Describe this image. Begin with the subject itself")
    assert asked.prompt.endswith("Answer in French. Use at most 5 words.")
    assert [one.prompt for one in options.wordings(demo=True)] == ["Describe this image."]
    assert [one.prompt for one in CaptionOptions(prompt="Why?").wordings(demo=True)] == ["Why?"]
