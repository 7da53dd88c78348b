"""The switches for thinking in chat templates, and in the files of models that are not loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.models.model_info import ModelInfo
from jobs.models.thinking_switches import can_think, thinking_off, thinking_on

SWITCH = "{% if enable_thinking is false %}</think>{% endif %}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}", {"enable_thinking": False}),
        ("{% set thinking = thinking | default(true) %}", {"thinking": False}),
        ("{% generation %}{{ m.thinking }}{% endgeneration %} thinking", {}),
        ("{% if thinking_budget == 0 %}{% endif %}", {"thinking_budget": 0}),
        ("{% if reasoning_effort == 'no_think' %}{% endif %}", {"reasoning_effort": "no_think"}),
        ("{% set reasoning_effort = reasoning_effort or 'high' %}", {}),
        ("{{ reasoning_effort }}{{ 'low' }}{{ \"none\" }}", {"reasoning_effort": "none"}),
        ("{% broken", {}),
        ("{{ messages }}", {}),
    ],
)
def test_switches_are_found_in_the_code_of_a_template(template: str, expected: dict[str, Any]) -> None:
    """Words of its text, and attributes of its messages, are no switches."""
    assert thinking_off(template) == expected


def test_thinking_is_switched_on_by_the_same_variables() -> None:
    """A string is a value only if the template knows it."""
    assert thinking_on("{% if enable_thinking is false %}</think>{% endif %}") == {"enable_thinking": True}
    assert thinking_on("{% if thinking_mode == 'on' %}a{% endif %}") == {"thinking_mode": "on"}
    assert thinking_on("{% if thinking_mode == 'off' %}a{% endif %}{{ messages }}") == {}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.jinja", SWITCH),
        ("chat_template.json", json.dumps({"chat_template": SWITCH})),
        ("tokenizer_config.json", json.dumps({"chat_template": SWITCH})),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": SWITCH}]})),
    ],
)
def test_a_switch_is_found_in_the_files_of_a_model(tmp_path: Path, file: str, content: str) -> None:
    """Models store their template in one of three files, and some store several templates."""
    info = ModelInfo("model", "text", tmp_path)
    assert not can_think(info)
    (tmp_path / file).write_text(content)
    assert can_think(info)


def test_files_that_cannot_be_read_have_no_switch(tmp_path: Path) -> None:
    """A model that is not on this machine, or whose files are broken, does not break the list of models."""
    (tmp_path / "tokenizer_config.json").write_text("{broken")
    assert not can_think(ModelInfo("model", "text", tmp_path))
    assert not can_think(ModelInfo("model", "text", None))
