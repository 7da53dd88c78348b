"""LiteLLM, through its providers for OpenAI, Anthropic and Ollama."""

from __future__ import annotations

import litellm
from checks import KEY, MODEL, PROMPT, SCHEMA, URL, data_uri, follows_schema, raises, run, same

ABOUT = [
    {
        "role": "user",
        "content": [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": data_uri()}}],
    }
]
OPENAI = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": KEY, "num_retries": 0}
TOOL = {"type": "function", "function": {"name": "report", "parameters": SCHEMA}}


def plain() -> None:
    """Ask without a picture."""
    answer = litellm.completion(messages=[{"role": "user", "content": "Count to five."}], **OPENAI)
    same(answer.choices[0].message.content, "one two three four five")


def image() -> None:
    """Ask about a picture in three dialects."""
    same(litellm.completion(messages=ABOUT, **OPENAI).choices[0].message.content)
    for provider in ("ollama_chat", "anthropic"):
        answer = litellm.completion(
            model=f"{provider}/{MODEL}", messages=ABOUT, api_base=URL, api_key=KEY, max_tokens=64
        )
        same(answer.choices[0].message.content)


def stream() -> None:
    """Read the answer as it grows."""
    chunks = litellm.completion(messages=ABOUT, stream=True, **OPENAI)
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks))


def structured() -> None:
    """Ask for JSON that follows a schema."""
    schema = {"type": "json_schema", "json_schema": {"name": "report", "schema": SCHEMA, "strict": True}}
    answer = litellm.completion(messages=ABOUT, response_format=schema, **OPENAI)
    follows_schema(answer.choices[0].message.content)


def tools() -> None:
    """Ask for a tool call."""
    answer = litellm.completion(messages=ABOUT, tools=[TOOL], tool_choice="required", **OPENAI)
    follows_schema(answer.choices[0].message.tool_calls[0].function.arguments)


def errors() -> None:
    """Get the library's own exceptions."""
    unknown = {**OPENAI, "model": "openai/nosuchmodel"}
    raises(litellm.NotFoundError, lambda: litellm.completion(messages=ABOUT, **unknown))


run(plain=plain, image=image, stream=stream, structured=structured, tools=tools, errors=errors)
