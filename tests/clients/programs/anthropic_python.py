"""Anthropic's Python client."""

from __future__ import annotations

import anthropic
from checks import KEY, MODEL, PROMPT, SCHEMA, URL, base64_picture, follows_schema, raises, run, same

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
SOURCE = {"type": "base64", "media_type": "image/png", "data": base64_picture()}
ABOUT = [{"role": "user", "content": [{"type": "image", "source": SOURCE}, {"type": "text", "text": PROMPT}]}]
TOOL = {"name": "report", "description": "Reports.", "input_schema": SCHEMA}


def plain() -> None:
    """Ask without a picture, with a system prompt."""
    answer = client.messages.create(
        model=MODEL,
        max_tokens=64,
        system="You are a helpful assistant.",
        messages=[{"role": "user", "content": "Count to five."}],
    )
    same(answer.content[0].text, "one two three four five")
    same(answer.stop_reason, "end_turn")


def image() -> None:
    """Ask about a picture."""
    same(client.messages.create(model=MODEL, max_tokens=64, messages=ABOUT).content[0].text)


def stream() -> None:
    """Read the answer as it grows."""
    with client.messages.stream(model=MODEL, max_tokens=64, messages=ABOUT) as stream:
        same("".join(stream.text_stream))
        assert stream.get_final_message().usage.output_tokens > 0


def tools() -> None:
    """Ask for a tool call, and give its result back."""
    answer = client.messages.create(
        model=MODEL, max_tokens=128, messages=ABOUT, tools=[TOOL], tool_choice={"type": "tool", "name": "report"}
    )
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    same(answer.stop_reason, "tool_use")
    follows_schema(call.input)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "stored"}
    messages = [
        *ABOUT,
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": [result]},
    ]
    assert client.messages.create(model=MODEL, max_tokens=64, messages=messages, tools=[TOOL]).stop_reason


def errors() -> None:
    """Get the client's own exceptions."""
    ask = client.messages.create
    raises(anthropic.NotFoundError, lambda: ask(model="nosuchmodel", max_tokens=64, messages=ABOUT))
    raises(anthropic.BadRequestError, lambda: ask(model="demo-text", max_tokens=64, messages=ABOUT), "image")


run(plain=plain, image=image, stream=stream, tools=tools, errors=errors)
