"""OpenAI's parameters that this server does not support: only values that ask for nothing are accepted."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticCustomError

#: Unsupported parameters, each with its accepted values.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
    "moderation": (),
}
#: Most characters of a value that an error message quotes.
_QUOTED = 40


def drop_neutral(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body without unsupported parameters. Raises PydanticCustomError for a value that asks for something."""
    for name, accepted in NEUTRAL.items():
        value = body.get(name)
        if value is not None and not any(_same(value, one) for one in accepted):
            context = {"reason": _reason(name, value, accepted), "name": name}
            raise PydanticCustomError("unsupported_parameter", "{reason}", context)
    return {name: value for name, value in body.items() if name not in NEUTRAL}


def _reason(name: str, value: Any, accepted: tuple[Any, ...]) -> str:
    words = json.dumps(value)
    choices = " or ".join(json.dumps(one) for one in accepted if one not in ([], {}))
    if not choices or len(words) > _QUOTED:
        return f"'{name}' is not supported. Leave it out."
    return f"{name}={words} is not supported (only {choices})."


def _same(value: Any, accepted: Any) -> bool:
    # In Python 1 == True: a boolean must not pass for a number.
    return type(value) is type(accepted) and bool(value == accepted)
