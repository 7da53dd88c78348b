"""Ollama's Python client."""

from __future__ import annotations

import ollama
from checks import MODEL, PICTURE, PROMPT, SCHEMA, URL, follows_schema, raises, run, same

client = ollama.Client(host=URL)
ABOUT = [{"role": "user", "content": PROMPT, "images": [str(PICTURE)]}]
TOOL = {"type": "function", "function": {"name": "report", "description": "Reports.", "parameters": SCHEMA}}


def plain() -> None:
    """Ask without a picture, and list the models."""
    same(client.generate(MODEL, "Count to five.").response, "one two three four five")
    assert any(model.model.startswith(MODEL) for model in client.list().models)


def image() -> None:
    """Ask about a picture, both ways."""
    same(client.chat(MODEL, ABOUT).message.content)
    same(client.generate(MODEL, PROMPT, images=[str(PICTURE)]).response)


def stream() -> None:
    """Read the answer as it grows."""
    pieces = list(client.chat(MODEL, ABOUT, stream=True))
    same("".join(piece.message.content or "" for piece in pieces))
    assert pieces[-1].done
    assert pieces[-1].eval_count > 0


def structured() -> None:
    """Ask for JSON that follows a schema."""
    follows_schema(client.chat(MODEL, ABOUT, format=SCHEMA).message.content)


def tools() -> None:
    """Offer a tool: the model may call it or answer."""
    answer = client.chat(MODEL, ABOUT, tools=[TOOL]).message
    for call in answer.tool_calls or []:
        follows_schema(dict(call.function.arguments))
    assert answer.tool_calls or answer.content


def errors() -> None:
    """Get the client's own exceptions."""
    raises(ollama.ResponseError, lambda: client.chat("nosuchmodel", ABOUT))
    raises(ollama.ResponseError, lambda: client.chat("demo-text", ABOUT), "image")


run(plain=plain, image=image, stream=stream, structured=structured, tools=tools, errors=errors)
