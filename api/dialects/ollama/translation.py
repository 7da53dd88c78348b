"""From Ollama's bodies to the fields of the one chat request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from api.schemas.dialects.ollama import (
    OllamaBody,
    OllamaChatBody,
    OllamaGenerateBody,
    OllamaMessage,
    OllamaModelName,
)
from jobs.errors import InvalidRequestError

#: The tag that Ollama gives to every name without one.
_TAG = ":latest"
#: The place of the answer's JSON schema in a body.
SCHEMA_PLACE = ("format",)
#: Ollama's option → the chat request's.
_OPTIONS = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


def model_name(body: OllamaBody | OllamaModelName) -> str | None:
    """Return the name of a model without Ollama's tag; None: the default model."""
    name = body.model or (body.name if isinstance(body, OllamaModelName) else None)
    return (name or "").removesuffix(_TAG) or None


def tagged(name: str) -> str:
    """Return the name of a model as Ollama lists it."""
    return name if ":" in name else name + _TAG


def chat_values(body: OllamaChatBody) -> dict[str, Any]:
    """Return the fields of the chat request. Raises InvalidRequestError."""
    messages = list(_messages(body))
    return {"messages": messages, "tools": body.tools, **_shared(body)}


def generate_values(body: OllamaGenerateBody) -> dict[str, Any]:
    """Return the fields of the chat request. Raises InvalidRequestError."""
    system = [{"role": "system", "content": body.system}] if body.system else []
    user = {"role": "user", "content": _content(body.prompt or "", body.images or [])}
    return {"messages": [*system, user], **_shared(body)}


def loading_values(body: OllamaBody) -> dict[str, Any]:
    """Return the fields of a chat request that loads a model: its answer has one token."""
    return {"model": model_name(body), "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}


def asks_to_unload(body: OllamaBody) -> bool:
    """Whether a request without a prompt asks to unload the model: a `keep_alive` of no time, such as 0 or `0s`."""
    return re.fullmatch(r"0(\.0)?[a-z]*", str(body.keep_alive)) is not None


def _shared(body: OllamaBody) -> dict[str, Any]:
    options = {} if body.options is None else body.options.model_dump(include=set(_OPTIONS), exclude_none=True)
    values = {_OPTIONS[name]: value for name, value in options.items()}
    if values.get("max_tokens", 0) < 0:
        # -1 is without an end for Ollama, and -2 the rest of the context.
        values["max_tokens"] = -1
    return {
        "model": model_name(body),
        "think": _thinks(body),
        "response_format": _response_format(body.format),
        **values,
    }


def _thinks(body: OllamaBody) -> bool | str | None:
    # Some clients write the boolean as a text.
    return {"true": True, "false": False}.get(str(body.think), body.think)


def _response_format(given: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(given, dict):
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": given}} if given else None
    if given in (None, ""):
        return None
    if given == "json":
        return {"type": "json_object"}
    raise InvalidRequestError("format is neither json nor a JSON schema.")


def _messages(body: OllamaChatBody) -> Iterator[dict[str, Any]]:
    messages = body.messages or []
    if body.images and not any(message.images for message in messages):
        # Some clients put the images beside the messages too, others only there.
        asked = max((at for at, one in enumerate(messages) if one.role == "user"), default=None)
        if asked is not None:
            shown = messages[asked].model_copy(update={"images": body.images})
            messages = [*messages[:asked], shown, *messages[asked + 1 :]]
    numbers = count()
    #: Calls without a result, as pairs of function and id: Ollama's results name at most the function.
    open_calls: list[tuple[str, str]] = []
    for message in messages:
        yield from _message(message, numbers, open_calls)


def _message(
    message: OllamaMessage, numbers: Iterator[int], open_calls: list[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    content = _content(message.content or "", message.images or [])
    if message.role == "tool":
        yield {"role": "tool", "content": content, "tool_call_id": _answered(message.tool_name, open_calls)}
        return
    calls = [
        {
            "id": f"call_{next(numbers)}",
            "type": "function",
            "function": {
                "name": call.function.name,
                "arguments": json.dumps(call.function.arguments, ensure_ascii=False),
            },
        }
        for call in message.tool_calls or []
    ]
    open_calls += [(str(call["function"]["name"]), str(call["id"])) for call in calls]  # type: ignore[index]
    yield {"role": message.role, "content": content, **({"tool_calls": calls} if calls else {})}


def _answered(name: str | None, open_calls: list[tuple[str, str]]) -> str:
    """Return the id of the call that a result belongs to: the first open one of the function, else the first open one."""
    if not open_calls:
        raise InvalidRequestError("A message of the role tool follows a tool call. There is none before it.")
    at = next((at for at, (function, _) in enumerate(open_calls) if function == name), 0)
    return open_calls.pop(at)[1]


def _content(text: str, images: Sequence[str]) -> str | list[dict[str, Any]]:
    if not images:
        return text
    # As data, whatever the text looks like: the beginning of a JPEG in base64 looks like a path.
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": one if one[:5].lower() == "data:" else f"data:;base64,{one}"}}
        for one in images
    ]
    return [*parts, {"type": "text", "text": text}] if text else parts
