"""The configuration file: its settings, their precedence, and errors that name file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.configuration.config_file import config_path
from jobs.configuration.read_settings import read_settings, unknown_settings
from jobs.errors import SettingsError
from jobs.options.prompts.presets import own_presets


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file of the test."""
    file = tmp_path / "config.toml"
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(file))
    return file


def test_the_environment_wins_over_the_file_and_an_option_over_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting of the file holds where neither sets the same."""
    file.write_text('[settings]\nslots = 7\nmax_pixels = 5000\nmodel = "mine"\napi_keys = {laptop = "a-long-secret"}\n')
    monkeypatch.setenv("CAPTIONQ_SLOTS", "8")
    settings = read_settings(model="given")
    assert (settings.slots, settings.max_pixels, settings.model) == (8, 5000, "given")
    assert settings.api_keys["laptop"].get_secret_value() == "a-long-secret"
    assert unknown_settings() == []


def test_a_value_of_the_file_that_the_environment_replaces_is_not_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is the way to start in spite of a wrong file."""
    file.write_text('[settings]\nslots = "many"\n')
    monkeypatch.setenv("captionq_slots", "8")
    assert read_settings().slots == 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[settings]\nslots = 'many'", "config.toml: settings.slots must be a whole number of at least 1"),
        ("[settings]\nslot = 3", "config.toml: settings.slot is not a setting (did you mean slots?)."),
        ("[settings]\napi_keys = {laptop = 'short'}", "config.toml: settings.api_keys: the key 'laptop' must have 8"),
        ("slots = 3", "config.toml: slots stands in no table. Write it below [settings]."),
        ("[setting]\nslots = 3", "config.toml: setting is not a table of this file (did you mean settings?)."),
        ("settings = 3", "config.toml: settings must be a table. Begin it with [settings]."),
        ("[settings\n", "config.toml is not valid TOML: "),
        ("[settings]\nmodel = '\udcff'", "config.toml is not valid TOML: "),
        ("[presets]\nmine = 3", "config.toml: presets.mine must be a table with a prompt."),
        ("[presets.mine]\nmax_tokens = 3", "config.toml: presets.mine.prompt: Field required."),
        (
            "[presets.mine]\nprompt = 'a'\nmax_token = 3",
            "presets.mine.max_token is not an option of a preset (did you me",
        ),
        (
            "[presets.mine]\nprompt = 'a'\ntemperature = 3",
            "presets.mine.temperature: Input should be less than or equal",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_key(file: Path, content: str, reason: str) -> None:
    """An unknown name gets the name that it resembles, and no secret is shown."""
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError) as refused:
        (read_settings(), own_presets())
    assert reason in refused.value.message
    assert "'short'" not in refused.value.message


def test_a_missing_file_is_an_error_only_if_it_was_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty name means that no file is wanted."""
    with pytest.raises(SettingsError, match=r"config.toml does not exist \(CAPTIONQ_CONFIG\)"):
        read_settings()
    monkeypatch.setenv("CAPTIONQ_CONFIG", "")
    assert config_path() is None
    read_settings()
    monkeypatch.delenv("CAPTIONQ_CONFIG")
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: file.parent)
    assert config_path() == file
    read_settings()
