"""Keywords of a JSON schema that rule nothing out: left out, they need not be known to the grammar's compiler.

Zod, for example, writes every record with `"propertyNames": {"type": "string"}`, and a name is always a string.
"""

from __future__ import annotations

from typing import Any

#: Keywords with the values by which they allow everything.
_IDLE: dict[str, tuple[Any, ...]] = {"propertyNames": ({"type": "string"}, {}, True), "uniqueItems": (False,)}
#: Keywords whose value is a subschema, or a list of them.
_PARTS = ("items", "prefixItems", "additionalProperties", "allOf", "anyOf", "oneOf")
#: Keywords whose value maps names to subschemas.
_MAPPINGS = ("properties", "patternProperties", "$defs", "definitions")


def without_idle_keywords(schema: Any) -> Any:
    """Return a copy of a schema, or of a list of them, without its idle keywords. Other values are returned as they are."""
    if isinstance(schema, list):
        return [without_idle_keywords(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _replaced(name, value)
        for name, value in schema.items()
        if not any(value == idle for idle in _IDLE.get(name, ()))
    }


def _replaced(name: str, value: Any) -> Any:
    if name in _MAPPINGS and isinstance(value, dict):
        return {key: without_idle_keywords(one) for key, one in value.items()}
    return without_idle_keywords(value) if name in _PARTS else value
