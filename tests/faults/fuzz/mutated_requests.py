"""Requests of every dialect with odd, missing, foreign and broken parts, by a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_MODEL = "demo"
_WORDS = {"role": "user", "content": "Hello"}
_TOOL = {
    "name": "look",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
#: A picture of one pixel.
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_URI = f"data:image/png;base64,{_PIXEL}"


@dataclass(frozen=True)
class Asked:
    """A request as it is sent."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str] = field(default_factory=dict)


def _chat(**more: Any) -> dict[str, Any]:
    return {"model": _MODEL, "messages": [_WORDS], "max_tokens": 4, **more}


_LOOK = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": _URI}}]
_LINE = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": _chat()}
_ANTHROPIC = {"model": _MODEL, "max_tokens": 4, "messages": [_WORDS]}
_ANTHROPIC_LOOK = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PIXEL}},
    {"type": "text", "text": "What is it?"},
]
_RESPONSES_LOOK = [{"type": "input_image", "image_url": _URI}, {"type": "input_text", "text": "What is it?"}]
#: Valid requests: paths and bodies. A batch has the lines of its file, a multipart body its fields.
_SEEDS: tuple[tuple[str, Any], ...] = (
    ("/v1/chat/completions", _chat(temperature=0.5, top_p=0.9, stop=["x"], seed=1, logprobs=True, top_logprobs=2)),
    ("/v1/chat/completions", _chat(stream=True, stream_options={"include_usage": True}, n=1)),
    ("/v1/chat/completions", _chat(response_format=_SCHEMA, logit_bias={"3": 5})),
    ("/v1/chat/completions", _chat(tools=[{"type": "function", "function": _TOOL}], tool_choice="auto")),
    ("/v1/chat/completions", {**_chat(model="demo"), "messages": [{"role": "user", "content": _LOOK}]}),
    ("/v1/responses", {"model": _MODEL, "input": "Hello", "max_output_tokens": 4, "instructions": "Be short."}),
    ("/v1/responses", {"model": _MODEL, "input": [_WORDS], "stream": True, "max_output_tokens": 4}),
    (
        "/v1/responses",
        {"model": "demo", "max_output_tokens": 4, "input": [{"role": "user", "content": _RESPONSES_LOOK}]},
    ),
    ("/v1/messages", {**_ANTHROPIC, "system": "Be short.", "temperature": 0.5, "stop_sequences": ["x"]}),
    ("/v1/messages", {**_ANTHROPIC, "stream": True, "tools": [{"name": "look", "input_schema": {"type": "object"}}]}),
    ("/v1/messages", {**_ANTHROPIC, "model": "demo", "messages": [{"role": "user", "content": _ANTHROPIC_LOOK}]}),
    ("/v1/messages/count_tokens", {"model": _MODEL, "messages": [_WORDS]}),
    ("/v1/messages/batches", {"requests": [{"custom_id": "1", "params": _ANTHROPIC}]}),
    ("/api/chat", {"model": _MODEL, "messages": [_WORDS], "options": {"num_predict": 4, "top_k": 3}, "format": "json"}),
    ("/api/chat", {"model": "demo", "messages": [{**_WORDS, "images": [_PIXEL]}], "options": {"num_predict": 4}}),
    ("/api/generate", {"model": _MODEL, "prompt": "Hello", "system": "Be short.", "options": {"num_predict": 4}}),
    ("/api/show", {"model": _MODEL}),
    ("/v1/jobs", _chat()),
    ("/v1/jobs", {"jobs": [_chat(), _chat(temperature=1)], "priority": 1}),
    ("/v1/files", [_LINE, {**_LINE, "custom_id": "2"}]),
    ("/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
    ("/v1/folders", {"path": "/pictures", "model": "demo", "options": {"prompt": "What is it?", "recursive": True}}),
)
_LOOKS = (
    "/v1/jobs?limit=5&after={}",
    "/v1/jobs/{}",
    "/v1/jobs/{}/events",
    "/v1/files/{}/content",
    "/v1/batches/{}",
    "/v1/batches?limit={}",
    "/v1/messages/batches/{}/results",
    "/v1/responses/{}",
    "/v1/folders/{}/results",
    "/v1/models/{}",
    "/runs/{}",
    "/runs/{}/pictures/1",
)
#: Values that no schema of these bodies expects, and values at borders.
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 0.1, -0.0, 1e308, 1e-320),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "ß" * 300,
        "a" * 70_000,
        "🦊",
        "../../etc/passwd",
        "file:///etc/passwd",
        "http://[::1]:1/x",
    ),
    *("data:image/png;base64,", f"data:image/png;base64,{_PIXEL[:-20]}", "data:,x", "%s%n", "{{7*7}}", "1e5", "NaN"),
    *([], {}, [[]], [None], {"": None}, {"type": "text"}, {"type": "image_url"}, [1] * 500, {"a": {"a": {"a": {}}}}),
)


def mutated_request(seed: int) -> Asked:
    """Return the request of this seed."""
    dice = random.Random(f"request {seed}")
    if dice.random() < 0.08:
        return _look(dice)
    path, body = copy.deepcopy(dice.choice(_SEEDS))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        body = _changed(body, dice)
    if path == "/v1/files":
        return _upload(body, dice)
    content = _dump(body)
    if dice.random() < 0.2:
        content = _broken(content, dice)
    headers = {"Content-Type": "application/json"}
    if dice.random() < 0.1:
        name = dice.choice(
            ("Content-Type", "Idempotency-Key", "Last-Event-ID", "Accept", "anthropic-version", "Accept-Encoding")
        )
        headers[name] = dice.choice(
            ("", "x" * 300, "text/plain", "application/json; charset=utf-16", "\xff", "1", "*/*;q=2")
        )
    return Asked("POST", path, content, headers)


def _look(dice: random.Random) -> Asked:
    odd = dice.choice(("1", "%00", "%ff", "..%2f..", "a" * 200, "'--", "-1", "%F0%9F%A6%8A", "job_1", "0" * 32))
    method = dice.choice(("GET", "GET", "GET", "DELETE", "POST", "PUT", "HEAD", "OPTIONS"))
    return Asked(method, dice.choice(_LOOKS).format(odd), None)


def _upload(lines: Any, dice: random.Random) -> Asked:
    """Return the lines of a batch as an upload."""
    rows = lines if isinstance(lines, list) else [lines]
    file = b"\n".join(_dump(row) for row in rows)
    if dice.random() < 0.3:
        file = _broken(file, dice)
    parts = (
        b'--BB\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--BB\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + file + b"\r\n--BB--\r\n"
    )
    if dice.random() < 0.3:
        parts = _broken(parts, dice)
    return Asked("POST", "/v1/files", parts, {"Content-Type": "multipart/form-data; boundary=BB"})


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _broken(content: bytes, dice: random.Random) -> bytes:
    """Return the bytes of a body with a fault: cut off, doubled, noise, levels without end."""
    at = dice.randrange(len(content) + 1)
    noise = dice.choice((b"\xff", b"\0", b'"', b"{", b"[" * 5000, b"\\ud800", b"1e999", dice.randbytes(8)))
    return dice.choice(
        (content[:at], content[:at] + noise + content[at:], content + content, content[:at] + content[at + 1 :])
    )


def _changed(value: Any, dice: random.Random) -> Any:
    """Return a body in which something at a random depth is another thing, is missing, or stands twice."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        return _changed_object(value, dice)
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        return dice.choice(_LIST_CHANGES)(value, at, dice)
    return _mild(value, dice) if dice.random() < 0.4 else dice.choice(_ODD)


def _mild(value: Any, dice: random.Random) -> Any:
    """Return another value of the same kind, which may be valid."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return dice.choice((dice.randrange(200), round(dice.uniform(0, 2), 3)))
    if isinstance(value, str):
        return dice.choice(
            (value.upper(), value + " ", "Hello 🦊 <|im_end|>", "none", "required", "json_object", "system", value[1:])
        )
    return dice.choice(_ODD)


def _changed_object(value: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    key, how = dice.choice(sorted(value)), dice.random()
    if how < 0.12:
        return {name: one for name, one in value.items() if name != key}
    if how < 0.2:
        return {**value, dice.choice(("x", "n", "model", "stream", "metadata", "\ud800", "user")): dice.choice(_ODD)}
    if how < 0.25:
        return {**value, dice.choice(sorted(value)): value[key]}
    return {**value, key: _changed(value[key], dice)}


_LIST_CHANGES: tuple[Callable[[list[Any], int, random.Random], list[Any]], ...] = (
    lambda value, at, dice: [*value[:at], *value[at + 1 :]],
    lambda value, at, dice: value + [copy.deepcopy(value[at])] * dice.choice((1, 3, 200)),
    lambda value, at, dice: [*value, dice.choice(_ODD)],
    lambda value, at, dice: [*value[:at], _changed(value[at], dice), *value[at + 1 :]],
    lambda value, at, dice: [*value[:at], _changed(value[at], dice), *value[at + 1 :]],
)
