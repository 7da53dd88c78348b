"""Tools in the words of one chat template: whether it shows them, how the model writes calls, and messages with calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from jobs.requests import Message
from jobs.tools import FunctionTool
from worker.sampling.call_format import CallFormat, format_of

#: Names that no template contains.
_FUNCTION, _ARGUMENT = "xqfunctionx", "xqargumentx"
#: Characters of the id of a call: some of Mistral's templates take no other number.
_ID_LENGTH = 9

#: A function that renders messages and the definitions of tools; None: the template refuses them.
Render = Callable[[list[dict[str, Any]], list[dict[str, Any]]], str | None]


def find_format(render: Render, user: dict[str, Any]) -> CallFormat | None:
    """Return the form of the model's calls; None: the template does not show tools or results, or the form is not known.

    Args:
        render: renders with the template.
        user: a user's message that the template accepts.
    """
    tool = FunctionTool(name=_FUNCTION, parameters={"type": "object", "properties": {_ARGUMENT: {"type": "string"}}})
    shown = render([user], [tool.definition])
    if shown is None or _FUNCTION not in shown or _ARGUMENT not in shown:
        return None
    call = _call("call_1", _FUNCTION, json.dumps({_ARGUMENT: "-"}))
    result = {"role": "tool", "content": _ARGUMENT * 2, "tool_call_id": call["id"], "name": _FUNCTION}
    asked = [user, {"role": "assistant", "content": "", "tool_calls": [call]}]
    written, answered = render(asked, []), render([*asked, result], [])
    if written is None or answered is None or result["content"] not in answered:
        return None
    return format_of(written, _FUNCTION)


def tool_fields(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a message that belong to tools.

    Args:
        names: the name of each call's function, by the call's id.
    """
    if message.tool_calls:
        return {"tool_calls": [_call(call.id, call.name, call.arguments) for call in message.tool_calls]}
    if message.role == "tool":
        call = message.tool_call_id or ""
        return {"tool_call_id": _short_id(call), "name": names.get(call, "")}
    return {}


def one_call_a_message(messages: Sequence[Message]) -> list[Message]:
    """Return messages in which each call has a message of its own, followed by its result: some templates take no other."""
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    called = {call.id for message in messages for call in message.tool_calls}
    single: list[Message] = []
    for message in messages:
        if message.role == "tool" and message.tool_call_id in called:
            continue
        if not message.tool_calls:
            single.append(message)
        for number, call in enumerate(message.tool_calls):
            content = message.content if number == 0 else ""
            single.append(message.model_copy(update={"content": content, "tool_calls": (call,)}))
            single += [results[call.id]] if call.id in results else []
    return single


def with_arguments(message: Message, arguments: Sequence[str]) -> Message:
    """Return the message with these arguments of its calls."""
    pairs = zip(message.tool_calls, arguments, strict=True)
    calls = tuple(call.model_copy(update={"arguments": written}) for call, written in pairs)
    return message.model_copy(update={"tool_calls": calls})


def as_json(value: Any) -> str:
    """Return the JSON of a value, or of a client's JSON, with its characters spelled out, as templates write them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    return json.dumps(value, ensure_ascii=False)


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function", "id": _short_id(call_id), "function": {"name": name, "arguments": _parsed(arguments)}}


def _short_id(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:_ID_LENGTH]


def _parsed(arguments: str) -> Any:
    """Return the arguments as an object, which templates write as JSON; text that is no object stays text."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments
