"""Closing a JSON schema as OpenAI's strict mode wants it: no further properties, and each property required.

Only silence is filled: a schema that says `additionalProperties` or `required` keeps its own. Several subschemas may describe the
same object (`allOf`, or `anyOf` beside `properties`). These stay open, because each would forbid the properties of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: Keywords whose subschemas describe parts of the value, or are only referred to.
_PARTS = ("properties", "items", "prefixItems", "additionalProperties", "contains", "$defs", "definitions")
#: Keywords whose subschemas describe the same value as the schema that holds them.
_SAME_VALUE = ("allOf", "anyOf", "oneOf")
#: Keywords that may allow further properties: a schema that has one is not closed.
_OPENING = {*_SAME_VALUE, "$ref", "if", "dependentSchemas", "patternProperties", "unevaluatedProperties"}
#: Keywords whose value maps names to subschemas; the value of the others is a subschema or a list of them.
_MAPPINGS = {"properties", "$defs", "definitions"}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the schema in which each object that says nothing else is closed and its properties are required."""
    parts = list(_below(schema, "#", is_shared=False))
    # A definition that describes an object together with other schemas stays open wherever it is used.
    shared = {part["$ref"] for _, part, is_shared in parts if is_shared and isinstance(part.get("$ref"), str)}
    copies: dict[int, dict[str, Any]] = {}
    # The innermost parts come first: a part's copy holds the copies of its own parts.
    for place, part, is_shared in reversed(parts):
        copy = {name: _replaced(name, value, copies) for name, value in part.items()}
        properties = part.get("properties")
        is_open = is_shared or place in shared or bool(_OPENING & part.keys())
        if isinstance(properties, dict) and properties and not is_open:
            copy.setdefault("additionalProperties", False)
            copy.setdefault("required", list(properties))
        copies[id(part)] = copy
    return copies[id(schema)]


def _below(schema: Any, place: str, *, is_shared: bool) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield the schema and all its subschemas: place as `$ref` spells it, subschema, and whether others describe its object."""
    if not isinstance(schema, dict):
        return
    yield place, schema, is_shared
    for name in _PARTS:
        for key, part in _subschemas(name, schema.get(name)):
            yield from _below(part, f"{place}/{name}/{key}", is_shared=False)
    # Alternatives do not apply together, unlike the parts of `allOf` and the schema that holds them.
    has_own = "properties" in schema or "$ref" in schema or len(_OPENING & schema.keys()) > 1
    for name in _SAME_VALUE:
        several = name == "allOf" and len(schema.get(name) or ()) > 1
        for key, part in _subschemas(name, schema.get(name)):
            yield from _below(part, f"{place}/{name}/{key}", is_shared=is_shared or has_own or several)


def _subschemas(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in _MAPPINGS:
        for key, part in value.items() if isinstance(value, dict) else ():
            yield key.replace("~", "~0").replace("/", "~1"), part
    elif isinstance(value, list):
        yield from ((str(at), part) for at, part in enumerate(value))
    else:
        yield "", value


def _replaced(name: str, value: Any, copies: dict[int, dict[str, Any]]) -> Any:
    """Return the value of a keyword with its subschemas replaced by their copies."""
    if name not in _PARTS and name not in _SAME_VALUE:
        return value
    if name in _MAPPINGS and isinstance(value, dict):
        return {key: copies.get(id(part), part) for key, part in value.items()}
    if isinstance(value, list):
        return [copies.get(id(part), part) for part in value]
    return copies.get(id(value), value)
