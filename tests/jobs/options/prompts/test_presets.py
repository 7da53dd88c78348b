"""Presets: built in and the user's own, and the options that they bring."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.options.caption_options import QuestionOptions
from jobs.options.prompts.presets import BUILT_IN
from jobs.requests import Sampling
from tools.demo_model import texts


def test_the_presets_that_users_ask_for_are_built_in() -> None:
    """The demo model knows the wordings of those that its examples use."""
    assert list(BUILT_IN) == [
        *("describe", "short", "detailed", "alt-text", "tags", "booru", "product", "accessibility", "ocr")
    ]
    assert {BUILT_IN[name].prompt for name in ("describe", "short", "detailed")} <= set(texts.CAPTION_PROMPTS)
    assert BUILT_IN["tags"].prompt in texts.KEYWORD_PROMPTS
    assert "125" in BUILT_IN["alt-text"].prompt


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
    assert [one.prompt for one in plants.wordings] == ["Plants?"]
    assert plants.sampling == Sampling(stop=(".",))
    assert [one.prompt for one in QuestionOptions().wordings] == ["Tell me."]


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
