"""The length of prompts: a prompt with too many characters for the context is refused before it is queued or tokenised."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jobs.configuration.settings import Settings
from jobs.errors import ContextLengthError
from jobs.requests import Request

#: Maximum number of characters that one token stands for. The longest known tokens are 128 spaces, in OpenAI's cl100k and the
#: vocabularies made from it (Llama 3, Qwen); the longest words are shorter than 40 letters.
TOKEN_CHARACTERS = 128
#: Tokens of context of a model whose config does not say.
UNKNOWN_CONTEXT = 262_144


def prompt_limit(context: int | None, settings: Settings) -> int:
    """Return the maximum number of prompt tokens: the smaller of the model's context and the setting."""
    limits = [limit for limit in (context, settings.max_prompt_tokens) if limit is not None]
    return min(limits, default=UNKNOWN_CONTEXT)


def check_characters(texts: Iterable[str], limit: int) -> None:
    """Raise ContextLengthError for texts that have more than `limit` tokens by any tokenizer."""
    characters = sum(map(len, texts))
    if characters > limit * TOKEN_CHARACTERS:
        raise ContextLengthError(
            f"The prompt has {characters} characters, which is more than the {limit} tokens that are allowed. Send less text."
        )


def texts_of(request: Request) -> list[str]:
    """Collect all texts of a request: those of its messages and their calls, and the definitions of its tools."""
    tools = request.tools.functions if request.tools is not None else ()
    return [
        *(json.dumps(tool.definition, ensure_ascii=False) for tool in tools),
        *(text for message in request.messages for text in message.texts),
        *(call.arguments for message in request.messages for call in message.tool_calls),
    ]
