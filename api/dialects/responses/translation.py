"""From the body of a response to the fields of the one chat request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.schemas.dialects.responses import (
    ResponseFunctionCall,
    ResponseFunctionOutput,
    ResponseMessage,
    ResponsesBody,
)
from jobs.errors import InvalidRequestError

#: Fields that both dialects have.
_SAME = (
    "model",
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "parallel_tool_calls",
    "stream",
    "cache",
    "max_pixels",
    "user",
)
#: The place of the answer's JSON schema in a body.
SCHEMA_PLACE = ("text", "format", "schema")
#: The value of `include` that asks for log-probabilities.
LOGPROBS = "message.output_text.logprobs"


def chat_values(body: ResponsesBody) -> dict[str, Any]:
    """Return the fields of the chat request; the first message holds the instructions, if any. Raises InvalidRequestError."""
    values = {name: value for name in _SAME if (value := getattr(body, name)) is not None}
    system = [{"role": "system", "content": body.instructions}] if body.instructions else []
    values["messages"] = [*system, *_messages(body)]
    values["max_tokens"] = body.max_output_tokens
    values["response_format"] = _response_format(body)
    if body.top_logprobs or LOGPROBS in (body.include or []):
        values |= {"logprobs": True, "top_logprobs": body.top_logprobs}
    if body.tools:
        values["tools"] = [
            {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}
            for tool in body.tools
        ]
        values["tool_choice"] = _tool_choice(body.tool_choice)
    return values


def _response_format(body: ResponsesBody) -> dict[str, Any] | None:
    asked = None if body.text is None else body.text.format
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return {"type": "json_object"}
    schema = {"name": asked.name, "description": asked.description, "schema": asked.schema_, "strict": asked.strict}
    return {"type": "json_schema", "json_schema": {name: one for name, one in schema.items() if one is not None}}


def _tool_choice(choice: str | dict[str, Any] | None) -> Any:
    """Return the choice in the words of chat completions. One that is neither's is left for the chat request to refuse."""
    if not isinstance(choice, dict):
        return choice
    tools = choice.get("tools")
    if choice.get("type") == "allowed_tools" and isinstance(tools, list):
        named = [_tool_choice(tool) if isinstance(tool, dict) else tool for tool in tools]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": named}}
    if choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _messages(body: ResponsesBody) -> Iterator[dict[str, Any]]:
    if isinstance(body.input, str):
        yield {"role": "user", "content": body.input}
        return
    #: The last message, if it is an assistant's that further calls belong to.
    asking: dict[str, Any] | None = None
    for item in body.input:
        match item:
            case ResponseMessage():
                if asking is not None:
                    yield asking
                asking = None
                content = item.content if isinstance(item.content, str) else [_part(part) for part in item.content]
                message = {"role": item.role, "content": content}
                if item.role == "assistant":
                    asking = message
                else:
                    yield message
            case ResponseFunctionCall():
                asking = asking or {"role": "assistant", "content": None}
                call = {"name": item.name, "arguments": item.arguments}
                asking.setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": call})
            case ResponseFunctionOutput():
                if asking is not None:
                    yield asking
                asking = None
                told = item.output if isinstance(item.output, str) else [_part(part) for part in item.output]
                yield {"role": "tool", "tool_call_id": item.call_id, "content": told}
            case _:
                # Thoughts of an earlier answer are not shown to a model again.
                pass
    if asking is not None:
        yield asking


def _part(part: Any) -> dict[str, Any]:
    # Without the fields of other servers: the chat request would refuse some of them, and the client is told of them already.
    found: dict[str, Any] = part.model_dump(exclude_none=True, include=set(type(part).model_fields))
    return found


def check_storing(body: ResponsesBody) -> None:
    """Raise InvalidRequestError for a response that would be answered later and not be found then."""
    if body.background and body.store is False:
        raise InvalidRequestError("A background response has to be stored. Leave out store: false.")
