"""Schemas closed as OpenAI's strict mode wants them."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.answer_format.closed_schema import closed
from jobs.answer_format.response_format import JSONSchema, JSONSchemaFormat, is_followed


def thing(*names: str, **more: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties."""
    return {"type": "object", "properties": {name: {"type": "integer"} for name in names}, **more}


def shut(*names: str, **more: Any) -> dict[str, Any]:
    """Return the same schema, closed."""
    return {"additionalProperties": False, "required": list(names), **thing(*names), **more}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (thing("a", "b"), shut("a", "b")),
        (thing("a", additionalProperties=True), shut("a", additionalProperties=True)),
        (thing("a", required=[]), shut("a", required=[])),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "array", "items": thing("a")}, {"type": "array", "items": shut("a")}),
        ({"prefixItems": [thing("a"), {"type": "null"}]}, {"prefixItems": [shut("a"), {"type": "null"}]}),
        ({"anyOf": [thing("a"), {"type": "null"}]}, {"anyOf": [shut("a"), {"type": "null"}]}),
        ({"allOf": [thing("a")]}, {"allOf": [shut("a")]}),
        ({"allOf": [thing("a"), thing("b")]}, {"allOf": [thing("a"), thing("b")]}),
        (thing("a", anyOf=[thing("b"), thing("c")]), thing("a", anyOf=[thing("b"), thing("c")])),
        (thing("a", patternProperties={"^x": {}}), thing("a", patternProperties={"^x": {}})),
        ({"enum": [thing("a")]}, {"enum": [thing("a")]}),
        (
            {"$ref": "#/$defs/x~1y", "$defs": {"x/y": thing("a")}},
            {"$ref": "#/$defs/x~1y", "$defs": {"x/y": shut("a")}},
        ),
        (
            {"allOf": [{"$ref": "#/$defs/x~1y"}, thing("b")], "$defs": {"x/y": thing("a")}},
            {"allOf": [{"$ref": "#/$defs/x~1y"}, thing("b")], "$defs": {"x/y": thing("a")}},
        ),
    ],
)
def test_objects_are_closed_where_they_say_nothing(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """Objects that several subschemas describe stay open, because no object could be all of them when closed."""
    before = str(schema)
    assert closed(schema) == expected
    assert str(schema) == before


def test_properties_may_have_the_names_of_keywords() -> None:
    """A property that is called `items` is no keyword."""
    schema = {"type": "object", "properties": {"items": thing("a"), "required": {"type": "string"}}}
    found = closed(schema)
    assert found["required"] == ["items", "required"]
    assert found["properties"] == {"items": shut("a"), "required": {"type": "string"}}


def test_strict_closes_a_schema_and_false_does_not() -> None:
    """Without `strict` answers follow the schema as it stands."""
    extra = '{"a": 1, "more": 2}'
    for strict, allowed in ((True, False), (False, True), (None, True)):
        asked = JSONSchema.model_validate({"name": "a", "schema": thing("a"), "strict": strict})
        assert is_followed(JSONSchemaFormat(json_schema=asked), extra) == allowed
