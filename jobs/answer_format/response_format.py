"""Structured output: OpenAI's `response_format`, and the grammar that holds an answer to it.

A schema with a keyword that cannot be followed is refused when the request is validated, before anything is queued: an answer
that ignores half of the schema is worse than none (`schema_grammar.py`). The schema always holds; `strict` also closes its
objects and requires their properties where it says nothing (`closed_schema.py`).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

from jobs.answer_format.closed_schema import closed
from jobs.answer_format.idle_keywords import without_idle_keywords
from jobs.answer_format.schema_grammar import (
    MAX_SCHEMA_BYTES,
    check_depth,
    check_regex,
    is_match,
    regex_grammar,
    schema_grammar,
)
from jobs.answer_format.vocabulary import check_words, keywords_in, known_keywords

#: Keywords of an answer from a vocabulary: by default, and at most.
DEFAULT_KEYWORDS = 10
MAX_KEYWORDS = 100


class Part(BaseModel):
    """A part of a request. Unknown fields are refused, so that a misspelt field is not silently ignored."""

    # By alias: a stored request has OpenAI's names. Validators are made at their first use: no process needs all of them.
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, defer_build=True)


class JSONSchema(Part):
    """A schema with its name. A schema that cannot be followed raises ValueError, within pydantic's error."""

    #: OpenAI's rule for names.
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    # `schema` is a method of pydantic's models.
    schema_: dict[str, Any] = Field(alias="schema")
    strict: StrictBool | None = None

    @field_validator("schema_")
    @classmethod
    def _can_be_followed(cls, schema: dict[str, Any]) -> dict[str, Any]:
        check_depth(schema)
        followed: dict[str, Any] = without_idle_keywords(schema)
        schema_grammar(followed)
        return followed

    @model_validator(mode="after")
    def _can_be_followed_closed(self) -> Self:
        if self.strict:
            schema_grammar(self.effective)
        return self

    @property
    def effective(self) -> dict[str, Any]:
        """The schema that answers are held to."""
        return closed(self.schema_) if self.strict else self.schema_


class TextFormat(Part):
    """Free text."""

    type: Literal["text"] = "text"


class JSONObjectFormat(Part):
    """Any JSON object."""

    type: Literal["json_object"] = "json_object"


class JSONSchemaFormat(Part):
    """JSON that the schema describes."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: JSONSchema


class VocabularyFormat(Part):
    """Keywords of a vocabulary and nothing else, separated by commas, each once. Not part of OpenAI's API."""

    type: Literal["vocabulary"] = "vocabulary"
    #: Keywords, with the levels above them if they form a tree: `Animals|Dog`. An answer has the last level only.
    words: tuple[str, ...]
    #: Most keywords of an answer.
    max_keywords: int = Field(default=DEFAULT_KEYWORDS, ge=1, le=MAX_KEYWORDS)

    @field_validator("words")
    @classmethod
    def _check_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return check_words(words)

    def is_followed(self, text: str) -> bool:
        """Check whether an answer has keywords of the vocabulary only, each once."""
        return keywords_in(text) == known_keywords(text, self.words, self.max_keywords)


class RegexFormat(Part):
    """Words that a regular expression describes, whole and without quotes: the typed answers of a table of questions."""

    type: Literal["regex"] = "regex"
    regex: str = Field(min_length=1, max_length=MAX_SCHEMA_BYTES)

    @field_validator("regex")
    @classmethod
    def _can_be_followed(cls, regex: str) -> str:
        check_regex(regex)
        return regex


#: A format that a client may ask for.
ResponseFormat = Annotated[
    TextFormat | JSONObjectFormat | JSONSchemaFormat | VocabularyFormat, Field(discriminator="type")
]
#: A format of a stored request.
AnswerFormat = Annotated[
    TextFormat | JSONObjectFormat | JSONSchemaFormat | VocabularyFormat | RegexFormat, Field(discriminator="type")
]


def grammar(response_format: AnswerFormat | None) -> str | None:
    """Return the grammar of the answer, as llguidance reads it; None: free text.

    Keywords have a grammar each, see `worker/sampling/keywords.py`.
    """
    match response_format:
        case JSONObjectFormat():
            return schema_grammar({"type": "object"})
        case JSONSchemaFormat():
            return schema_grammar(response_format.json_schema.effective)
        case RegexFormat():
            return regex_grammar(response_format.regex)
        case _:
            return None


def is_followed(response_format: AnswerFormat | None, text: str) -> bool:
    """Check whether an answer is complete and has the format that was asked for. Free text always has."""
    if isinstance(response_format, VocabularyFormat):
        return response_format.is_followed(text)
    made = grammar(response_format)
    if made is None:
        return True
    if not isinstance(response_format, RegexFormat):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    return is_match(made, text)
