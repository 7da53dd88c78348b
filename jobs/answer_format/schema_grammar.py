"""The grammar that holds an answer to a JSON schema or to a regular expression, compiled by llguidance.

llguidance decides which answers a schema allows (https://github.com/guidance-ai/llguidance, docs/json_schema.md lists the
keywords that llguidance knows). A schema with another keyword of the standard is refused.

The JSON is on one line, spaced as `json.dumps` does and as models have seen most. Free to choose, a model may emit white space
until its tokens are used up. The keys of an object come in the order of the schema's `properties`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

#: Maximum bytes of a schema as JSON. A schema of this size compiles in under a second.
MAX_SCHEMA_BYTES = 32_768
#: Objects and arrays within each other; llguidance's parser ends at 128.
MAX_SCHEMA_DEPTH = 64
#: llguidance's options for JSON on one line, spaced as `json.dumps` does.
LAYOUT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def schema_grammar(schema: dict[str, Any]) -> str:
    """Compile a schema. Raises ValueError, which names the part that is not supported."""
    return _grammar_of(_as_text(schema))


def regex_grammar(regex: str) -> str:
    """Return the grammar of a regular expression."""
    from llguidance import LLMatcher

    return LLMatcher.grammar_from_regex(regex)


def check_regex(regex: str) -> None:
    """Raise ValueError if a regular expression cannot be followed."""
    from llguidance import LLMatcher

    if reason := LLMatcher.validate_grammar(regex_grammar(regex)):
        raise ValueError(f"The regular expression cannot be followed: {' '.join(reason.split())}.")


def check_depth(schema: object) -> None:
    """Raise ValueError if a schema is too deep for llguidance's parser."""
    level: Sequence[object] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise ValueError(f"The schema is more than {MAX_SCHEMA_DEPTH} levels deep. Use a flatter one, or `$ref`.")


def is_match(made: str, text: str) -> bool:
    """Check whether a whole text is an answer that a grammar allows."""
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


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


# Every job of a folder asks with the same schema.
@lru_cache(maxsize=64)
def _grammar_of(schema: str) -> str:
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
