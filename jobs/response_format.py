"""What shape an answer is to have: OpenAI's `response_format`, refused here when no grammar can be made of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.limits import MAX_SCHEMA_BYTES

#: On one line and spaced as `json.dumps` does: given the choice, a model may well write white space for ever.
_LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ANY_OBJECT = {"type": "object"}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class TextFormat(_Strict):
    """Any text."""

    type: Literal["text"] = "text"


class JSONObjectFormat(_Strict):
    """Some JSON object."""

    type: Literal["json_object"] = "json_object"


class JSONSchema(_Strict):
    name: str = Field(default="answer", min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    #: Answers always follow the schema to the letter, so it makes no difference.
    strict: bool | None = None


class JSONSchemaFormat(_Strict):
    """JSON that follows a schema, with the keys in the schema's order."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: JSONSchema

    @model_validator(mode="after")
    def _has_a_grammar(self) -> Self:
        text = json.dumps(self.json_schema.schema_)
        if len(text.encode()) > MAX_SCHEMA_BYTES:
            raise ValueError(f"the schema has {len(text.encode())} bytes; the limit is {MAX_SCHEMA_BYTES}")
        from llguidance import LLMatcher

        if message := LLMatcher.validate_grammar(grammar(self)):
            raise ValueError(f"no grammar can be made of the schema: {' '.join(message.split())}")
        return self


ResponseFormat = Annotated[TextFormat | JSONObjectFormat | JSONSchemaFormat, Field(discriminator="type")]


def grammar(response_format: JSONObjectFormat | JSONSchemaFormat) -> str:
    """The format as a grammar of llguidance. Raises ValueError for a schema that is not understood at all."""
    from llguidance import LLMatcher

    schema = response_format.json_schema.schema_ if isinstance(response_format, JSONSchemaFormat) else _ANY_OBJECT
    text: str = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_LAYOUT)
    return text
