"""Structured output: OpenAI's `response_format`, and the grammar that holds an answer to it.

llguidance decides which answers a schema allows (https://github.com/guidance-ai/llguidance, docs/json_schema.md lists the
keywords that llguidance knows). A schema with another keyword of the standard is refused when the request is validated, before
anything is queued: an answer that ignores half of the schema is worse than none. The schema always holds; `strict` also closes
its objects and requires their properties where it says nothing (`jobs/closed_schema.py`).

The JSON is on one line, spaced as `json.dumps` does and as models have seen most. Free to choose, a model may emit white space
until its tokens are used up. The keys of an object come in the order of the schema's `properties`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator, model_validator

from jobs.closed_schema import closed
from jobs.vocabulary import check_words, keywords_in, known_keywords

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

#: Maximum bytes of a schema as JSON. A schema of this size compiles in under a second.
MAX_SCHEMA_BYTES = 32_768
#: Objects and arrays within each other; llguidance's parser ends at 128.
MAX_SCHEMA_DEPTH = 64
#: Keywords of an answer from a vocabulary: by default, and at most.
DEFAULT_KEYWORDS = 10
MAX_KEYWORDS = 100
#: llguidance's options for JSON on one line, spaced as `json.dumps` does.
LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Part(BaseModel):
    """A part of a request. Unknown fields are refused, so that a misspelt field is not silently ignored."""

    # By alias: a stored request has OpenAI's names.
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


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
        _check_depth(schema)
        _grammar_of(_as_text(schema))
        return schema

    @model_validator(mode="after")
    def _can_be_followed_closed(self) -> Self:
        if self.strict:
            _grammar_of(_as_text(self.effective))
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
        from llguidance import LLMatcher

        if reason := LLMatcher.validate_grammar(_regex_grammar(regex)):
            raise ValueError(f"The regular expression cannot be followed: {' '.join(reason.split())}.")
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
            return _grammar_of('{"type":"object"}')
        case JSONSchemaFormat():
            return _grammar_of(_as_text(response_format.json_schema.effective))
        case RegexFormat():
            return _regex_grammar(response_format.regex)
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
    matcher, answer = _byte_matcher(made), list(text.encode(errors="surrogatepass"))
    return matcher.try_consume_tokens(answer) == len(answer) and matcher.is_accepting()


def _as_text(schema: dict[str, Any]) -> str:
    # Not sorted: the order of the properties is the order of the answer's keys.
    try:
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The schema is not valid JSON: {error}.") from error
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_SCHEMA_BYTES:
        raise ValueError(f"The schema has {size:,} bytes; the limit is {MAX_SCHEMA_BYTES:,}. Use a smaller schema.")
    return text


def _check_depth(schema: object) -> None:
    level: Sequence[object] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise ValueError(f"The schema is more than {MAX_SCHEMA_DEPTH} levels deep. Use a flatter one, or `$ref`.")


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


# Every job of a folder asks with the same schema.
@lru_cache(maxsize=64)
def _grammar_of(schema: str) -> str:
    """Compile a schema. Raises ValueError, which names the part that is not supported."""
    # Imported here: most requests have no schema, and the command line shows its help without it.
    from llguidance import LLMatcher, LLParserLimits

    if "x-guidance" in json.loads(schema):
        raise ValueError("The schema has 'x-guidance', which is not supported. Leave it out.")
    limits = LLParserLimits(verbose_errors=False)
    try:
        made: str = LLMatcher.grammar_from_json_schema(schema, overrides=LAYOUT)
    except ValueError as error:
        raise ValueError(f"The schema cannot be read: {error}.") from error
    reason = LLMatcher.validate_grammar(made, limits=limits) or _dead_end(made)
    if reason:
        raise ValueError(
            f"The schema cannot be followed: {' '.join(reason.split())}. Leave that part out, or ask for it in the prompt."
        )
    return made


def _regex_grammar(regex: str) -> str:
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(regex)


def _dead_end(made: str) -> str:
    """Say why no answer can even begin, if so: some valid schemas match nothing, such as one that refers to itself."""
    matcher = _byte_matcher(made)
    matcher.compute_bitmask()
    return "no JSON matches it" if matcher.is_stopped() else ""


def _byte_matcher(made: str) -> LLMatcher:
    from llguidance import LLMatcher, LLParserLimits

    return LLMatcher(_byte_tokenizer(), made, log_level=0, limits=LLParserLimits(verbose_errors=False))


@lru_cache(maxsize=1)
def _byte_tokenizer() -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Bytes()), slices=[])


class _Bytes:
    """A tokenizer in llguidance's sense whose tokens are the 256 bytes: enough to try a beginning, and made in no time."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([value]) for value in range(256)), b"<eos>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)
