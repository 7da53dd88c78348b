"""Tools: the functions that a model may call, the calls in its answers, and the text in which calls are streamed.

A call's arguments are JSON, as a string: OpenAI's clients send and expect them so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, field_validator, model_validator

from jobs.answer_format.response_format import JSONSchema, Part

#: OpenAI's limit on the tools of a request.
MAX_TOOLS = 128
#: Most calls of an answer. Free to go on, a small model may repeat its call until its tokens are used up.
MAX_CALLS = 16
#: Most characters of the id of a call, and of a tool's name.
MAX_CALL_ID, MAX_NAME = 256, 64

ToolName = Annotated[str, Field(pattern=rf"^[a-zA-Z0-9_.-]{{1,{MAX_NAME}}}$")]


class FunctionTool(Part):
    """A function that the model may call. Parameters that cannot be followed raise ValueError, within pydantic's error."""

    name: ToolName
    description: str | None = None
    #: The JSON schema of the arguments: an object.
    parameters: dict[str, Any] = Field(default_factory=dict)
    #: Whether objects that say nothing else are closed and all their properties required, as in structured output.
    strict: StrictBool | None = None

    @field_validator("parameters")
    @classmethod
    def _describe_an_object(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters.get("type", "object") != "object":
            raise ValueError("The parameters of a function are a JSON schema of type object.")
        return parameters

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        JSONSchema(name="parameters", schema=self.arguments_schema)
        return self

    @cached_property
    def arguments_schema(self) -> dict[str, Any]:
        """The schema that the arguments are held to. A function takes no arguments that its parameters do not name."""
        schema: dict[str, Any] = {"type": "object", **self.parameters}
        if set(schema) <= {"type", "properties", "required", "description", "title", "$schema", "$defs", "definitions"}:
            schema = {"properties": {}, **schema, "additionalProperties": False}
        return JSONSchema(name="parameters", schema=schema, strict=self.strict).effective

    @property
    def definition(self) -> dict[str, Any]:
        """The function as chat templates take it: OpenAI's tool."""
        parameters = self.parameters or {"type": "object", "properties": {}}
        function = {"name": self.name, "description": self.description or "", "parameters": parameters}
        return {"type": "function", "function": function}


class Tools(Part):
    """The functions of a request, and which calls its answer may have."""

    functions: tuple[FunctionTool, ...] = Field(min_length=1, max_length=MAX_TOOLS)
    #: Whether the answer consists of calls; if not, the model may also answer with text.
    required: bool = False
    #: Names of the functions that may be called; none: all.
    allowed: tuple[str, ...] = ()
    #: Most calls of the answer.
    most_calls: int = Field(default=MAX_CALLS, ge=1, le=MAX_CALLS)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [function.name for function in self.functions]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"Two tools have the name '{double}'.")
        if unknown := next((name for name in self.allowed if name not in names), None):
            raise ValueError(f"tool_choice names '{unknown}', which is not one of the tools.")
        return self

    @property
    def callable(self) -> tuple[FunctionTool, ...]:
        """The functions that may be called."""
        return tuple(one for one in self.functions if not self.allowed or one.name in self.allowed)


class ToolCall(Part):
    """A call of a function, in an answer or in a message of the assistant."""

    id: str = Field(min_length=1, max_length=MAX_CALL_ID)
    name: str = Field(min_length=1, max_length=MAX_NAME)
    #: JSON; not whole if the answer was cut off.
    arguments: str


def call_id(job_id: str, index: int) -> str:
    """Return the id of a call in a job's answer, the same whenever the answer is read."""
    return f"call_{job_id.rpartition('_')[2]}{index:02}"


def calls_text(calls: Iterable[ToolCall]) -> str:
    """Return calls as the text in which they are streamed: a line with the name, and a line with the arguments, for each."""
    return "".join(f"{call.name}\n{call.arguments}\n" for call in calls)


def stored_calls(text: str) -> list[dict[str, str]]:
    """Return the calls of a streamed text as rows hold them. A name without its line break is left out."""
    lines = text.split("\n")
    return [
        {"name": name, "arguments": arguments}
        for name, arguments in zip(lines[0::2], lines[1::2], strict=False)
        if name
    ]


def calls_of(stored: Sequence[dict[str, str]] | None, job_id: str, *, first: int = 0) -> tuple[ToolCall, ...]:
    """Return stored calls with their ids; `first`: the number of the first of them within the job."""
    return tuple(ToolCall(id=call_id(job_id, index), **call) for index, call in enumerate(stored or (), start=first))
