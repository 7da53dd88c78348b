"""Tools on the wire: the definitions and the choice of a request, and the calls of a message, in OpenAI's shapes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from api.schemas.tolerance import Tolerant
from jobs.tools import MAX_CALL_ID, MAX_CALLS, MAX_NAME, MAX_TOOLS, FunctionTool, ToolCall, ToolName, Tools


class FunctionDefinition(Tolerant):
    """A function: its name, its purpose, and the JSON schema of its arguments."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = Field(
        default=None, description="A JSON schema of type object; none: no arguments"
    )
    strict: bool | None = Field(default=None, description="Close the schema's objects and require all their properties")

    def to_function(self) -> FunctionTool:
        """Return the function as requests store it. Raises ValueError with its name for a schema that cannot be followed."""
        try:
            return FunctionTool(
                name=self.name, description=self.description, parameters=self.parameters or {}, strict=self.strict
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(f"Tool '{self.name}': {reason}") from None


class ToolDefinition(Tolerant):
    """A tool: only functions are known."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Tolerant):
    """The name of a function."""

    name: str = Field(min_length=1, max_length=MAX_NAME)


class NamedTool(Tolerant):
    """A tool by its name."""

    type: Literal["function"]
    function: NamedFunction


class AllowedToolList(Tolerant):
    """The tools that may be called, of all that the model is shown."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedTools(Tolerant):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolList


#: Whether the answer may or must call, and what. `any` is another name of `required`.
ToolChoice = Literal["none", "auto", "required", "any"] | NamedTool | AllowedTools


class CalledFunction(Tolerant):
    """A called function and its arguments."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    arguments: str = Field(default="{}", description="The arguments, as JSON in a string")


class MessageToolCall(Tolerant):
    """A call of a function in a message of the assistant."""

    id: str = Field(min_length=1, max_length=MAX_CALL_ID)
    type: Literal["function"] = "function"
    function: CalledFunction

    def to_call(self) -> ToolCall:
        """Return the call as requests store it."""
        return ToolCall(id=self.id, name=self.function.name, arguments=self.function.arguments)


class AnswerFunction(BaseModel):
    """The called function."""

    name: str
    arguments: str = Field(description="The arguments, as JSON in a string; not whole if the answer was cut off")


class AnswerToolCall(BaseModel):
    """A call of a function in an answer."""

    id: str
    type: Literal["function"] = "function"
    function: AnswerFunction


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; empty if the answer was cut off within them."""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def answer_calls(calls: Iterable[ToolCall]) -> list[AnswerToolCall]:
    """Return the calls of an answer on the wire."""
    return [
        AnswerToolCall(id=call.id, function=AnswerFunction(name=call.name, arguments=call.arguments)) for call in calls
    ]


def tools_of(
    definitions: list[ToolDefinition] | None, choice: ToolChoice | None, *, parallel: bool | None
) -> Tools | None:
    """Return the tools of a request; None: there are none. Raises ValueError, and within it ValidationError."""
    if choice == "none" or (not definitions and choice in (None, "auto")):
        return None
    if not definitions:
        raise ValueError("tool_choice asks for a call, but there are no tools.")
    functions = tuple(one.function.to_function() for one in definitions)
    most = 1 if parallel is False else MAX_CALLS
    if isinstance(choice, NamedTool):
        return Tools(functions=functions, required=True, allowed=(choice.function.name,), most_calls=1)
    if isinstance(choice, AllowedTools):
        among = choice.allowed_tools
        names = tuple(one.function.name for one in among.tools)
        return Tools(functions=functions, required=among.mode == "required", allowed=names, most_calls=most)
    return Tools(functions=functions, required=choice in ("required", "any"), most_calls=most)
