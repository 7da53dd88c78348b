"""Anthropic's own client, unmodified."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.test_chat import png
from tests.support.scenes import Drawn
from tests.support.serving import Served, data_uri

if TYPE_CHECKING:
    import anthropic

pytestmark = pytest.mark.timeout(300)

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    """Anthropic's client."""
    import anthropic

    with anthropic.Anthropic(base_url=served.url, api_key="any", max_retries=0) as client:
        yield client


def image(drawn: Drawn) -> dict[str, Any]:
    """Return a picture as a block."""
    data = base64.b64encode(png(drawn)).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def about(*blocks: Any) -> Any:
    """Return the messages of a question about images."""
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": "Describe this image."}]}]


def test_a_picture_is_captioned_whole_and_in_pieces(client: anthropic.Anthropic, drawn: Drawn) -> None:
    """Usage and reason are the same both ways, and the request's id is told."""
    message = client.messages.create(model="demo", max_tokens=100, messages=about(image(drawn)))
    assert [(block.type, block.text) for block in message.content if block.type == "text"] == [("text", drawn.caption)]
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 20
    assert message._request_id
    with client.messages.stream(model="demo", max_tokens=100, messages=about(image(drawn))) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert final.content[0].text == drawn.caption
    assert final.usage.input_tokens == message.usage.input_tokens
    assert final.usage.output_tokens == message.usage.output_tokens
    assert final.stop_reason == "end_turn"


def test_a_stream_has_anthropics_events(served: Served) -> None:
    """Each event's name is its type, and one block of text begins and ends."""
    body = {"model": "demo-text", "max_tokens": 5, "messages": HELLO, "stream": True}
    names: list[str] = []
    with served.client.stream("POST", "/v1/messages", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            elif line:
                assert json.loads(line.removeprefix("data: "))["type"] == names[-1]
    without_pings = [name for name in names if name != "ping"]
    assert without_pings[:2] == ["message_start", "content_block_start"]
    assert set(without_pings[2:-3]) == {"content_block_delta"}
    assert without_pings[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "ping" in names


def test_all_ways_to_send_a_picture(client: anthropic.Anthropic, served: Served, drawn: Drawn) -> None:
    """A file that was uploaded, and a data: address; caching and thinking are accepted."""
    form = {"files": {"file": ("x.png", png(drawn))}, "data": {"purpose": "vision"}}
    uploaded = served.client.post("/v1/files", **form).json()["id"]  # type: ignore[arg-type]
    for source in ({"type": "file", "file_id": uploaded}, {"type": "url", "url": data_uri(png(drawn))}):
        block = {"type": "image", "source": source, "cache_control": {"type": "ephemeral"}}
        message = client.messages.create(
            model="demo",
            max_tokens=1100,
            messages=about(block),
            metadata={"user_id": "me"},
            thinking={"type": "enabled", "budget_tokens": 1024},
        )
        assert message.content[0].text == drawn.caption


def test_system_stop_and_format(client: anthropic.Anthropic) -> None:
    """A system prompt of blocks, stop sequences, a limit and a JSON schema."""
    system: Any = [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}]
    whole = client.messages.create(model="demo-text", max_tokens=40, messages=HELLO, system=system)
    text = whole.content[0].text
    stop = text[3:6]
    cut = client.messages.create(model="demo-text", max_tokens=40, messages=HELLO, system=system, stop_sequences=[stop])
    assert cut.content[0].text == text[: text.index(stop)]
    limited = client.messages.create(model="demo-text", max_tokens=2, messages=HELLO)
    assert (limited.stop_reason, limited.usage.output_tokens) == ("max_tokens", 2)
    schema: Any = {"type": "object", "properties": {"colour": {"enum": ["red"]}}, "required": ["colour"]}
    schema["additionalProperties"] = False
    typed = client.messages.create(
        model="demo-text",
        max_tokens=40,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(typed.content[0].text) == {"colour": "red"}


def test_tokens_are_counted_exactly(client: anthropic.Anthropic, drawn: Drawn) -> None:
    """The count is that of the answer's usage, with images, a system prompt, and tools that may not be called."""
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    asked_of: list[tuple[str, Any, dict[str, Any]]] = [
        ("demo", about(image(drawn)), {}),
        ("demo-text", HELLO, {"system": "Be short."}),
        ("demo-text", HELLO, {"tools": tools, "tool_choice": {"type": "any"}}),
        ("demo-text", HELLO, {"tools": tools, "tool_choice": {"type": "none"}}),
    ]
    for model, messages, more in asked_of:
        counted = client.messages.count_tokens(model=model, messages=messages, **more)
        asked = client.messages.create(model=model, max_tokens=1, messages=messages, **more)
        assert counted.input_tokens == asked.usage.input_tokens


def test_errors_have_anthropics_shape(client: anthropic.Anthropic) -> None:
    """The client raises its own classes, with a sentence."""
    import anthropic

    with pytest.raises(anthropic.NotFoundError, match="Model 'nothing' not found") as missing:
        client.messages.create(model="nothing", max_tokens=5, messages=HELLO)
    assert missing.value.body == {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "Model 'nothing' not found. GET /v1/models lists the models of this server.",
        },
    }
    assert missing.value.request_id
    document: Any = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    with pytest.raises(anthropic.BadRequestError, match="type 'document' is not supported"):
        client.messages.create(model="demo", max_tokens=5, messages=about(document))
    unknown: Any = {"format": {"type": "json_schema", "schema": {"type": "what"}}}
    with pytest.raises(
        anthropic.BadRequestError, match=r"output_config\.format\.schema: The schema cannot be followed"
    ):
        client.messages.create(model="demo-text", max_tokens=5, messages=HELLO, output_config=unknown)
    begun: Any = [*HELLO, {"role": "assistant", "content": "I"}]
    with pytest.raises(anthropic.BadRequestError, match="End with a user's message"):
        client.messages.create(model="demo-text", max_tokens=5, messages=begun)


def test_a_tool_is_called_and_its_result_is_read(client: anthropic.Anthropic) -> None:
    """A call that is asked for comes whole and in pieces; the conversation goes on with its result."""
    city = {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]}
    asked: Any = {
        "model": "demo-text",
        "max_tokens": 60,
        "tools": [{"name": "weather", "description": "Tells the weather.", "input_schema": city}],
        "tool_choice": {"type": "tool", "name": "weather"},
    }
    message = client.messages.create(messages=HELLO, **asked)
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Rome"}, "tool_use")
    with client.messages.stream(messages=HELLO, **asked) as stream:
        (again,) = [block for block in stream.get_final_message().content if block.type == "tool_use"]
    assert (again.name, again.input) == ("weather", {"city": "Rome"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
    told: Any = [*HELLO, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    asked["tool_choice"] = {"type": "none"}
    assert client.messages.create(messages=told, **asked).content[0].type == "text"
    counted = client.messages.count_tokens(messages=told, model="demo-text", tools=asked["tools"])
    assert counted.input_tokens > message.usage.input_tokens
