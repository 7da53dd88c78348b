"""Schemas as Zod writes them: keywords that rule nothing out do not stand in the way."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobs.answer_format.response_format import JSONSchema
from jobs.tools import FunctionTool

NAMES: dict[str, Any] = {"propertyNames": {"type": "string"}}
LIST: dict[str, Any] = {"type": "array", "items": {**NAMES}, "uniqueItems": False}
RECORD: dict[str, Any] = {"type": "object", **NAMES, "additionalProperties": LIST}


def test_a_record_of_zod_can_be_followed() -> None:
    """Deep in the schema too; properties, defaults and values of these names stay."""
    schema = {
        "type": "object",
        "properties": {
            "counts": RECORD,
            "propertyNames": {"type": "string", "default": NAMES},
            "any": {"enum": [NAMES]},
        },
        "$defs": {"pair": {"anyOf": [RECORD, {"type": "null"}]}},
    }
    kept = JSONSchema(name="answer", schema=schema).effective
    record = {"type": "object", "additionalProperties": {"type": "array", "items": {}}}
    assert kept == {
        "type": "object",
        "properties": {
            "counts": record,
            "propertyNames": {"type": "string", "default": NAMES},
            "any": {"enum": [NAMES]},
        },
        "$defs": {"pair": {"anyOf": [record, {"type": "null"}]}},
    }
    assert "propertyNames" not in FunctionTool(name="f", parameters=RECORD).arguments_schema


def test_names_that_are_held_to_a_pattern_are_refused() -> None:
    """The compiler of grammars does not know the keyword."""
    with pytest.raises(ValidationError, match="propertyNames"):
        JSONSchema(name="answer", schema={"type": "object", "propertyNames": {"pattern": "^a"}})
