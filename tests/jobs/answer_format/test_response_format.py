"""Structured output: schemas that are refused before they are queued, and schemas that pass."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.answer_format.response_format import ResponseFormat, grammar
from jobs.answer_format.schema_grammar import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH
from jobs.requests import Request

PARSER: TypeAdapter[ResponseFormat] = TypeAdapter(ResponseFormat)


def with_schema(schema: Any, **fields: Any) -> dict[str, Any]:
    """Make a response format as OpenAI's clients send it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **fields}}


def nested(depth: int) -> dict[str, Any]:
    """Make a schema with objects and arrays of this depth."""
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"items": schema}
    return schema


PICTURE = {
    "title": "Picture",
    "type": "object",
    "properties": {
        "shape": {"enum": ["circle", "square"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 5},
    },
    "required": ["shape", "count", "tags"],
    "additionalProperties": False,
}


def test_a_schema_survives_the_way_through_a_row() -> None:
    """The names are OpenAI's, and the properties keep their order."""
    asked = {"model": "demo", "messages": [{"role": "user", "content": "?"}]}
    request = Request.model_validate({**asked, "response_format": with_schema(PICTURE, strict=True)})
    row = request.model_dump_json()
    assert '"json_schema":{"name":"answer"' in row
    assert '"schema":{"title":"Picture","type":"object","properties":{"shape"' in row
    assert Request.model_validate_json(row) == request
    assert grammar(Request.model_validate_json(row).response_format) == grammar(request.response_format)


@pytest.mark.parametrize(
    ("schema", "culprit"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "propertyNames": {"pattern": "a"}}, "propertyNames"),
        ({"type": "picture"}, "picture"),
        ({"type": "string", "format": "colour"}, "colour"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"type": "string", "pattern": "("}, "unclosed group"),
        ({"$ref": "#/$defs/nowhere"}, "nowhere"),
        ({"$ref": "https://example.org/schema.json"}, "example.org"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "greater than maximum"),
        ({"oneOf": [{"type": "object"}, {"type": "object"}]}, "oneOf"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "no JSON matches it"),
        ({"type": "object", "x-guidance": {"lenient": True}}, "x-guidance"),
        ({"type": "number", "maximum": float("inf")}, "not valid JSON"),
        ({"description": "\ud800"}, "cannot be read"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, "bytes"),
        (nested(MAX_SCHEMA_DEPTH + 1), "levels deep. Use"),
        (nested(100_000), "more than 64 levels deep"),
        ({"type": "array", "contains": {"type": "null"}}, "contains"),
        (True, "dictionary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "schema",
)
def test_a_schema_that_cannot_be_followed_is_refused(schema: Any, culprit: str) -> None:
    """The refusal comes before queueing, and the message names the culprit."""
    with pytest.raises(ValidationError, match=culprit):
        PARSER.validate_python(with_schema(schema))


@pytest.mark.parametrize(
    "schema",
    [{}, PICTURE, nested(MAX_SCHEMA_DEPTH), {"type": "array", "items": {"type": "string"}}],
    ids=["anything", "object", "deep", "array"],
)
def test_a_schema_that_can_be_followed_has_a_grammar(schema: dict[str, Any]) -> None:
    """So has the deepest schema that is allowed."""
    assert grammar(PARSER.validate_python(with_schema(schema)))


@pytest.mark.parametrize(
    ("response_format", "culprit"),
    [
        ({"type": "xml"}, "xml"),
        ({"type": "json_schema"}, "json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "two words", "schema": {}}}, "name"),
        ({"type": "json_object", "schema": {}}, "schema"),
    ],
)
def test_a_broken_response_format_is_refused(response_format: Any, culprit: str) -> None:
    """The error names the part that is not in OpenAI's shape."""
    with pytest.raises(ValidationError, match=culprit):
        PARSER.validate_python(response_format)


def test_text_is_what_is_asked_for_when_nothing_is_said() -> None:
    """Both requests are equal, and neither has a grammar."""
    asked: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "?"}]}
    spoken = Request.model_validate({**asked, "response_format": {"type": "text"}})
    assert spoken == Request.model_validate(asked)
    assert grammar(spoken.response_format) is None
    assert grammar(PARSER.validate_python({"type": "text"})) is None


def test_only_schemas_load_the_grammars_library() -> None:
    """A run without a schema does not wait for the library."""
    code = (
        "import sys; from jobs.requests import Message, Request\n"
        "Request(model='demo', messages=[Message(role='user', content='?')])\n"
        "print('llguidance' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
