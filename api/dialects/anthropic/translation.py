"""From Anthropic's bodies to the fields of the one chat request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from api.schemas.dialects.anthropic import (
    AnthropicBody,
    AnthropicImage,
    AnthropicMessage,
    AnthropicPrompt,
    AnthropicText,
    AnthropicToolChoice,
    AnthropicToolResult,
    AnthropicToolUse,
    Base64Source,
    FileSource,
)
from jobs.errors import InvalidRequestError

#: Fields that both dialects have.
_SAME = ("max_tokens", "temperature", "top_k", "top_p", "stream")
#: The place of the answer's JSON schema in a body.
SCHEMA_PLACE = ("output_config", "format", "schema")
#: Anthropic's kind of tool choice → the chat request's.
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def message_values(body: AnthropicBody) -> dict[str, Any]:
    """Return the fields of the chat request. Raises InvalidRequestError."""
    given = {name: value for name in _SAME if (value := getattr(body, name)) is not None}
    asked = body.output_format if body.output_config is None else body.output_config.format
    response_format = None
    if asked is not None:
        response_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked.schema_}}
    return {**_prompt(body), **given, "stop": body.stop_sequences, "response_format": response_format}


def counted_values(body: AnthropicPrompt) -> dict[str, Any]:
    """Return the fields of a chat request that has the same prompt, and an answer of one token."""
    # Tools are in the prompt whether the answer may or must use them, and left out if it may not.
    may_call = body.tool_choice is not None and body.tool_choice.type != "none"
    free = body.model_copy(update={"tool_choice": None}) if may_call else body
    return {**_prompt(free), "max_tokens": 1}


def _prompt(body: AnthropicPrompt) -> dict[str, Any]:
    if body.messages[-1].role == "assistant":
        raise InvalidRequestError(
            "The last message has the role assistant: an answer cannot be begun for the model. End with a user's message."
        )
    system = [{"role": "system", "content": text}] if (text := _text(body.system)) else []
    values: dict[str, Any] = {
        "model": body.model,
        "messages": [*system, *(one for message in body.messages for one in _messages(message))],
    }
    if body.tools:
        values["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.input_schema},
            }
            for tool in body.tools
        ]
    if body.thinking is not None:
        values["enable_thinking"] = body.thinking.type != "disabled"
    if (choice := body.tool_choice) is not None:
        values["tool_choice"] = _choice(choice)
        if choice.disable_parallel_tool_use is not None:
            values["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return values


def _choice(choice: AnthropicToolChoice) -> str | dict[str, Any]:
    if choice.type != "tool":
        return _CHOICES[choice.type]
    return {"type": "function", "function": {"name": choice.name}}


def _text(content: str | Sequence[AnthropicText] | None) -> str:
    return content or "" if content is None or isinstance(content, str) else "\n\n".join(one.text for one in content)


def _messages(message: AnthropicMessage) -> Iterator[dict[str, Any]]:
    """Translate one message: the results of calls become messages of their own, ahead of the rest."""
    if isinstance(message.content, str):
        yield {"role": message.role, "content": message.content}
        return
    parts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in message.content:
        match block:
            case AnthropicText() | AnthropicImage():
                parts.append(_part(block))
            case AnthropicToolResult():
                content = block.content or ""
                told = content if isinstance(content, str) else [_part(one) for one in content]
                yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": told}
            case AnthropicToolUse():
                arguments = json.dumps(block.input, ensure_ascii=False)
                call = {"name": block.name, "arguments": arguments}
                calls.append({"id": block.id, "type": "function", "function": call})
            case _:
                # Thoughts of an earlier answer are not shown to a model again.
                pass
    if parts or calls:
        yield {"role": message.role, "content": parts or None, **({"tool_calls": calls} if calls else {})}


def _part(block: AnthropicText | AnthropicImage) -> dict[str, Any]:
    if isinstance(block, AnthropicText):
        return {"type": "text", "text": block.text}
    source = block.source
    if isinstance(source, FileSource):
        return {"type": "image_url", "image_url": {"file_id": source.file_id}}
    if isinstance(source, Base64Source):
        return {"type": "image_url", "image_url": {"url": f"data:{source.media_type or ''};base64,{source.data}"}}
    return {"type": "image_url", "image_url": {"url": source.url}}
