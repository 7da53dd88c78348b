"""The switches for thinking in a model's chat template, found without loading the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateSyntaxError

from jobs.models.model_info import ModelInfo

#: Variables by which chat templates switch thinking off, each with its values in the order of preference. A value that is a
#: string must occur in the template.
_SWITCHES: dict[str, tuple[bool | int | str, ...]] = {
    "enable_thinking": (False,),
    "thinking": (False,),
    "enable_reasoning": (False,),
    "use_thinking": (False,),
    "think": (False,),
    "thinking_budget": (0,),
    "thinking_mode": ("off", "disabled", "chat", "no_think"),
    "reasoning_effort": ("none", "no_think", "minimal", "low"),
    "reasoning_mode": ("off", "none"),
}
#: The same for switching thinking on. A variable that is not here is left to the template.
_ON_SWITCHES: dict[str, tuple[bool | int | str, ...]] = {
    **dict.fromkeys(("enable_thinking", "thinking", "enable_reasoning", "use_thinking", "think"), (True,)),
    "thinking_mode": ("on", "enabled", "thinking", "think"),
    "reasoning_effort": ("medium", "high"),
    "reasoning_mode": ("on", "auto"),
}


def can_think(info: ModelInfo) -> bool:
    """Return whether the model has a switch for thinking. Of a model that is not on this machine nothing is known."""
    return info.path is not None and bool(thinking_on(_template_in(info.path)))


def thinking_off(template: str) -> dict[str, bool | int | str]:
    """Return the variables that switch thinking off in this chat template. A caption needs no reasoning before it."""
    return _switches(template, _SWITCHES)


def thinking_on(template: str) -> dict[str, bool | int | str]:
    """Return the variables that switch thinking on in this chat template."""
    return _switches(template, _ON_SWITCHES)


def _switches(template: str, known: dict[str, tuple[bool | int | str, ...]]) -> dict[str, bool | int | str]:
    names, strings = _names_and_strings(template)
    chosen = {
        name: next((value for value in values if not isinstance(value, str) or value in strings), None)
        for name, values in known.items()
        if name in names
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _names_and_strings(template: str) -> tuple[set[str], set[str]]:
    """Return the variables and the string literals of a template's code. Its text, and attributes of objects, do not count."""
    names, strings, last = set[str](), set[str](), ""
    try:
        # Not parsed: templates have tags of their own.
        for _, kind, value in Environment(autoescape=False).lex(template):  # noqa: S701 - nothing is rendered
            if kind == "name" and last != ".":
                names.add(value)
            elif kind == "string":
                strings.add(value[1:-1])
            last = last if kind == "whitespace" else value
    except TemplateSyntaxError:
        return set(), set()
    return names, strings


def _template_in(folder: Path) -> str:
    """Return the source of the chat template in a model's folder; empty if there is none that can be read."""
    try:
        if (file := folder / "chat_template.jinja").exists():
            return file.read_text()
        found = [_template_of(folder / name) for name in ("chat_template.json", "tokenizer_config.json")]
    except (OSError, ValueError):
        return ""
    return next(filter(None, found), "")


def _template_of(file: Path) -> str:
    """Return the template in a file of JSON: a string, or a list of several with names."""
    values: Any = json.loads(file.read_text()) if file.exists() else {}
    template = values.get("chat_template") if isinstance(values, dict) else None
    if isinstance(template, list):
        return "".join(str(one.get("template")) for one in template if isinstance(one, dict))
    return template if isinstance(template, str) else ""
