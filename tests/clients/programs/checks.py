"""The parts that all client programs share: the server, a picture with its caption, and a line of JSON for each check."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The address of `captionq serve`, without /v1.
URL = os.environ["CAPTIONQ_URL"]
PICTURE = Path(os.environ["CAPTIONQ_PICTURE"])
#: The right answer to PROMPT about the picture.
CAPTION = os.environ["CAPTIONQ_CAPTION"]
PROMPT = "Describe this image."
KEY = "any"
MODEL = "demo"

#: A closed object with few answers, so that also a tiny model gives one of them.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "color": {"type": "string", "enum": ["red", "green", "blue"]},
        "count": {"type": "integer", "enum": [1, 2, 3]},
    },
    "required": ["color", "count"],
    "additionalProperties": False,
}


def base64_picture() -> str:
    """Return the picture's bytes in base64."""
    return base64.b64encode(PICTURE.read_bytes()).decode()


def data_uri() -> str:
    """Return the picture as a data: address."""
    return f"data:image/png;base64,{base64_picture()}"


def same(answer: object, expected: object = CAPTION) -> None:
    """Fail unless the answer is the expected one."""
    if answer != expected:
        raise AssertionError(f"expected {expected!r}, got {answer!r}")


def follows_schema(answer: Any) -> None:
    """Fail unless the answer, JSON or its value, follows SCHEMA."""
    value = json.loads(answer) if isinstance(answer, str) else answer
    properties = SCHEMA["properties"]
    if set(value) != set(properties) or any(value[name] not in properties[name]["enum"] for name in properties):
        raise AssertionError(f"the answer does not follow the schema: {value!r}")


def raises(kind: type[Exception], call: Callable[[], object], words: str = "nosuchmodel") -> None:
    """Fail unless the call raises this exception, with these words."""
    try:
        call()
    except kind as error:
        if words not in str(error):
            raise AssertionError(f"the error does not say '{words}': {error}") from error
        return
    raise AssertionError(f"no {kind.__name__} was raised")


def run(**checks: Callable[[], object]) -> None:
    """Run the checks, and print a line for each."""
    for name, check in checks.items():
        try:
            check()
            note = None
        except Exception as error:  # the line tells it
            note = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps({"check": name, "ok": note is None, "note": note}), flush=True)
