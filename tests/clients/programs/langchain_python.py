"""LangChain's client for OpenAI's API."""

from __future__ import annotations

import openai
from checks import KEY, MODEL, PROMPT, SCHEMA, URL, base64_picture, data_uri, follows_schema, raises, run, same
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
OPENAI_FORM = {"type": "image_url", "image_url": {"url": data_uri()}}
OWN_FORM = {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": base64_picture()}
ABOUT = [HumanMessage([OPENAI_FORM, {"type": "text", "text": PROMPT}])]
TITLED = {"title": "report", "description": "Reports.", **SCHEMA}


def plain() -> None:
    """Ask without a picture."""
    same(chat.invoke("Count to five.").content, "one two three four five")


def image() -> None:
    """Ask about a picture, in both forms."""
    same(chat.invoke(ABOUT).content)
    same(chat.invoke([HumanMessage([OWN_FORM, {"type": "text", "text": PROMPT}])]).content)


def stream() -> None:
    """Read the answer as it grows."""
    same("".join(str(chunk.content) for chunk in chat.stream(ABOUT)))


def structured() -> None:
    """Ask for JSON that follows a schema, by both methods."""
    for method in ("json_schema", "function_calling"):
        follows_schema(chat.with_structured_output(TITLED, method=method).invoke(ABOUT))


def tools() -> None:
    """Ask for a tool call."""
    tool = {"type": "function", "function": {"name": "report", "description": "Reports.", "parameters": SCHEMA}}
    (call,) = chat.bind_tools([tool], tool_choice="any").invoke(ABOUT).tool_calls
    follows_schema(call["args"])


def errors() -> None:
    """Get the client's own exceptions."""
    unknown = ChatOpenAI(model="nosuchmodel", base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    raises(openai.NotFoundError, lambda: unknown.invoke(ABOUT))


run(plain=plain, image=image, stream=stream, structured=structured, tools=tools, errors=errors)
