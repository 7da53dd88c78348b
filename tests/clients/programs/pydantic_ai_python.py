"""Pydantic AI, with its models for OpenAI's two APIs."""

from __future__ import annotations

from typing import Literal

from checks import KEY, MODEL, PICTURE, PROMPT, URL, raises, run, same
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY)
model = OpenAIChatModel(MODEL, provider=provider)
ABOUT = [PROMPT, BinaryContent(PICTURE.read_bytes(), media_type="image/png")]


class Report(BaseModel):
    """The same answers as the schema of the other programs."""

    color: Literal["red", "green", "blue"]
    count: Literal[1, 2, 3]


def plain() -> None:
    """Ask without a picture."""
    same(Agent(model).run_sync("Count to five.").output, "one two three four five")


def image() -> None:
    """Ask about a picture."""
    same(Agent(model).run_sync(ABOUT).output)


def responses() -> None:
    """Ask about a picture through the Responses API."""
    same(Agent(OpenAIResponsesModel(MODEL, provider=provider)).run_sync(ABOUT).output)


def structured() -> None:
    """Ask for a typed answer by a schema."""
    assert Agent(model, output_type=NativeOutput(Report)).run_sync(ABOUT).output.count in (1, 2, 3)


def tools() -> None:
    """Ask for a typed answer as the library does by default: by a tool call."""
    assert Agent(model, output_type=Report).run_sync(ABOUT).output.count in (1, 2, 3)


def errors() -> None:
    """Get the library's own exceptions."""
    unknown = OpenAIChatModel("nosuchmodel", provider=provider)
    raises(ModelHTTPError, lambda: Agent(unknown).run_sync(ABOUT))


run(plain=plain, image=image, structured=structured, tools=tools, responses=responses, errors=errors)
