"""Instructor, in its default mode and by schemas."""

from __future__ import annotations

from typing import Literal

import instructor
import openai
from checks import KEY, MODEL, PICTURE, PROMPT, URL, run
from pydantic import BaseModel

plain_client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


class Report(BaseModel):
    """The same answers as the schema of the other programs."""

    color: Literal["red", "green", "blue"]
    count: Literal[1, 2, 3]


def ask(mode: instructor.Mode) -> None:
    """Ask about the picture in a mode."""
    client = instructor.from_openai(plain_client, mode=mode)
    content = [PROMPT, instructor.Image.from_path(PICTURE)]
    answer = client.chat.completions.create(
        model=MODEL, response_model=Report, messages=[{"role": "user", "content": content}], max_retries=0
    )
    assert isinstance(answer, Report)


def image() -> None:
    """Ask about a picture by a schema in the prompt and the grammar."""
    ask(instructor.Mode.JSON_SCHEMA)


def tools() -> None:
    """Ask as the library does by default: by a tool call."""
    ask(instructor.Mode.TOOLS)


run(image=image, structured=image, tools=tools)
