"""`captionq config` and `captionq presets`: the file, and the settings and prompts in effect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from tests.support.command_output import output


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file of the test."""
    file = tmp_path / "own" / "config.toml"
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(file))
    return file


def test_settings_are_shown_with_their_source_and_without_secrets(
    run: CliRunner, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and the passwords of addresses are masked, as text and as JSON."""
    file.parent.mkdir()
    file.write_text(
        '[settings]\nslots = 7\nredis_url = "redis://user:pass-word@host/0"\napi_keys = {laptop = "a-long-secret"}\n'
    )
    monkeypatch.setenv("CAPTIONQ_MAX_PIXELS", "5000")
    text = output(run.invoke(captionq, ["config", "show"]))
    as_json = output(run.invoke(captionq, ["config", "show", "--format", "json"]))
    shown = json.loads(as_json)
    assert shown["slots"] == {"value": 7, "source": str(file)}
    assert shown["max_pixels"] == {"value": 5000, "source": "CAPTIONQ_MAX_PIXELS"}
    assert shown["grace"] == {"value": 20.0, "source": "default"}
    assert shown["api_keys"]["value"] == {"laptop": "********"}
    assert shown["redis_url"]["value"] == "redis://user:********@host/0"
    for secret in ("a-long-secret", "pass-word"):
        assert secret not in text + as_json
    assert f"7  ({file})" in text


def test_the_file_is_made_edited_and_checked(run: CliRunner, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor gets a file with examples; a mistake is named after it was saved, and the file stays."""
    assert output(run.invoke(captionq, ["config", "path"])).strip() == str(file)
    monkeypatch.setenv("VISUAL", "true")
    assert run.invoke(captionq, ["config", "edit"]).exit_code == 0
    assert "[settings]" in file.read_text()
    editor = file.parent / "editor"
    editor.write_text('#!/bin/sh\nprintf "[settings]\\nslot = 3\\n" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    wrong = run.invoke(captionq, ["config", "edit"])
    assert wrong.exit_code == 1
    assert "settings.slot is not a setting (did you mean slots?)" in wrong.stderr
    assert "slot = 3" in file.read_text()


def test_without_a_file_there_is_nothing_to_edit(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable."""
    monkeypatch.setenv("CAPTIONQ_CONFIG", "")
    for command in ("path", "edit"):
        refused = run.invoke(captionq, ["config", command])
        assert refused.exit_code == 1
        assert "CAPTIONQ_CONFIG is empty" in refused.stderr


def test_presets_are_listed(run: CliRunner, file: Path) -> None:
    """One line each, cut to the terminal's width; JSON has all of the prompt and its options."""
    file.parent.mkdir()
    file.write_text('[presets.plants]\nprompt = """Name\nthe plants."""\nmax_tokens = 9\n')
    lines = output(run.invoke(captionq, ["presets"])).splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["describe", "short"]
    assert lines[-1].split(maxsplit=1) == ["plants", "Name the plants. (yours)"]
    assert max(map(len, lines)) <= 120
    rows = [json.loads(line) for line in output(run.invoke(captionq, ["presets", "--format", "json"])).splitlines()]
    assert rows[-1] == {
        "name": "plants",
        "source": "yours",
        "prompt": "Name\nthe plants.",
        "options": {"max_tokens": 9},
    }
