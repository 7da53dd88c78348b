"""JSON schemas in words: the type of a value, its limits, and the fields of an object."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

#: The pairs of keywords that bound a value, and the unit of each. Pydantic leaves `ge` and its like as they are where a type has
#: a validator of its own.
_BOUNDS = (
    (("minimum", "ge"), ("maximum", "le"), ""),
    (("minLength",), ("maxLength",), " characters"),
    (("minItems",), ("maxItems",), " items"),
    (("minProperties",), ("maxProperties",), " entries"),
)
_OPEN_BOUNDS = ((("exclusiveMinimum", "gt"), "above"), (("exclusiveMaximum", "lt"), "below"))
#: Every keyword that is put into words here, or that says nothing to a reader.
KEYWORDS = frozenset(
    {name for low, high, _ in _BOUNDS for name in (*low, *high)}
    | {name for names, _ in _OPEN_BOUNDS for name in names}
    | {
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
        "const",
        "enum",
        "type",
        "items",
        "properties",
        "required",
        "default",
        "format",
    }
    | {"description", "pattern", "propertyNames", "additionalProperties", "contentMediaType", "contentSchema"}
    | {"title", "discriminator", "strict", "example", "examples"}
)


@dataclass(frozen=True)
class Word:
    """A word of a type: plain, a literal, or the name of a schema, which is a link."""

    text: str
    is_literal: bool = False
    is_schema: bool = False


@dataclass(frozen=True)
class FieldView:
    """A field of an object, or a parameter."""

    name: str
    type: list[Word]
    description: str
    is_required: bool
    #: As JSON; None: the field has no default, or null.
    default: str | None
    limits: list[str]
    #: The fields of an object that has no name of its own.
    fields: list[FieldView]


@dataclass(frozen=True)
class SchemaView:
    """A schema with a name."""

    name: str
    description: str
    type: list[Word]
    limits: list[str]
    fields: list[FieldView]


def schema_view(name: str, schema: Schema) -> SchemaView:
    """Return the view of a schema with a name."""
    # Docstrings of Python may go on with what only developers need.
    description = schema.get("description", "").split("\n\n")[0]
    return SchemaView(name, description, type_words(schema), limits_of(schema), fields_of(schema))


def fields_of(schema: Schema) -> list[FieldView]:
    """Return the fields of an object; none for other schemas."""
    required = schema.get("required", ())
    return [
        field_view(name, field, is_required=name in required) for name, field in schema.get("properties", {}).items()
    ]


def field_view(name: str, schema: Schema, *, is_required: bool, description: str = "") -> FieldView:
    """Return the view of a field or a parameter; `description`: words beside those of the schema."""
    default = schema.get("default")
    return FieldView(
        name,
        type_words(schema),
        description or schema.get("description", ""),
        is_required,
        None if default is None else _json(default),
        limits_of(schema),
        fields_of(schema),
    )


def type_words(schema: Any) -> list[Word]:
    """Return the type of a value in words. Schemas with names are named, never unfolded, so that recursion ends here."""
    if not isinstance(schema, dict) or not schema:
        return [Word("any value")]
    if "$ref" in schema:
        return [Word(name_of(schema["$ref"]), is_schema=True)]
    for keyword, between in (("anyOf", "or"), ("oneOf", "or"), ("allOf", "and")):
        if keyword in schema:
            return _joined(map(type_words, schema[keyword]), between)
    if "const" in schema:
        return [Word(_json(schema["const"]), is_literal=True)]
    if "enum" in schema:
        return _joined(([Word(_json(one), is_literal=True)] for one in schema["enum"]), "or")
    kinds = schema.get("type", "any value")
    return _joined((_kind_words(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)), "or")


def limits_of(schema: Any) -> list[str]:
    """Return the limits of a value in words, those of its alternatives, of a list's items and of an object's values included."""
    if not isinstance(schema, dict):
        return []
    limits = list(_own_limits(schema))
    for keyword in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(keyword, ()):
            limits += [limit for limit in limits_of(one) if limit not in limits]
    for keyword, owner in (("items", "each"), ("additionalProperties", "each value"), ("propertyNames", "each name")):
        limits += [f"{owner}: {limit}" for limit in limits_of(schema.get(keyword))]
    return limits


def name_of(reference: str) -> str:
    """Return the name of the schema that a reference leads to."""
    return reference.rpartition("/")[2]


def _kind_words(kind: str, schema: Schema) -> list[Word]:
    if kind == "array":
        return [Word("list of"), *type_words(schema.get("items"))]
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict) and values:
        return [Word("object with values:"), *type_words(values)]
    if "contentSchema" in schema:
        return [Word("JSON of"), *type_words(schema["contentSchema"])]
    if schema.get("format") == "binary" or schema.get("contentMediaType") == "application/octet-stream":
        return [Word("file")]
    return [Word(kind)]


def _own_limits(schema: Schema) -> Iterator[str]:
    for low_names, high_names, unit in _BOUNDS:
        low, high = _first(schema, low_names), _first(schema, high_names)
        if low is not None and high is not None:
            yield f"{low} to {high}{unit}"
        elif low is not None:
            yield f"at least {low}{unit}"
        elif high is not None:
            yield f"at most {high}{unit}"
    for names, word in _OPEN_BOUNDS:
        if (bound := _first(schema, names)) is not None:
            yield f"{word} {bound}"
    if "pattern" in schema:
        yield f"matches {schema['pattern']}"
    if schema.get("format", "binary") != "binary":
        yield f"format {schema['format']}"


def _first(schema: Schema, names: Iterable[str]) -> str | None:
    """Return the first of these keywords that the schema has, as people write numbers."""
    found = next((schema[name] for name in names if name in schema), None)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    return None if found is None else str(found)


def _joined(words: Iterable[list[Word]], between: str) -> list[Word]:
    """Join types by a word, each of them once."""
    different: list[list[Word]] = []
    for one in words:
        if one not in different:
            different.append(one)
    return [word for number, one in enumerate(different) for word in ([Word(between)] if number else []) + one]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
