"""The bodies of Anthropic's messages, as its clients send them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.chat.chat_request import Stops
from api.schemas.numbers import TokenLimit, TopK, TopP
from api.schemas.tolerance import Tolerant
from api.schemas.wire import MAX_LIST_ITEMS
from jobs.tools import MAX_CALL_ID, ToolName


class AnthropicText(Tolerant):
    """A block of text."""

    neutral: ClassVar = {"cache_control": ({"type": "ephemeral"},)}

    type: Literal["text"]
    text: str


class Base64Source(Tolerant):
    """An image's bytes."""

    type: Literal["base64"]
    media_type: str | None = None
    data: str = Field(min_length=1)


class URLSource(Tolerant):
    """An image's address."""

    type: Literal["url"]
    url: str = Field(min_length=1)


class FileSource(Tolerant):
    """An image that was uploaded to `/v1/files`."""

    type: Literal["file"]
    file_id: str


class AnthropicImage(Tolerant):
    """A block that is an image."""

    neutral: ClassVar = {"cache_control": ({"type": "ephemeral"},)}

    type: Literal["image"]
    source: Annotated[Base64Source | URLSource | FileSource, Field(discriminator="type")]


class AnthropicThoughts(Tolerant):
    """Thoughts of an earlier answer: accepted, and not shown to the model again."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: str | None = None
    data: str | None = None
    signature: str | None = None


class AnthropicToolUse(Tolerant):
    """A call that an earlier answer asked for."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1, max_length=MAX_CALL_ID)
    name: str
    input: dict[str, Any] = Field(default_factory=dict)


class AnthropicToolResult(Tolerant):
    """The result of a call."""

    neutral: ClassVar = {"is_error": (False,), "cache_control": ({"type": "ephemeral"},)}

    type: Literal["tool_result"]
    tool_use_id: str = Field(max_length=MAX_CALL_ID)
    content: (
        str
        | Annotated[
            list[Annotated[AnthropicText | AnthropicImage, Field(discriminator="type")]],
            Field(max_length=MAX_LIST_ITEMS, fail_fast=True),
        ]
        | None
    ) = None


Block = Annotated[
    AnthropicText | AnthropicImage | AnthropicThoughts | AnthropicToolUse | AnthropicToolResult,
    Field(discriminator="type"),
]


class AnthropicMessage(Tolerant):
    """A message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[Block], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)]


class AnthropicTool(Tolerant):
    """A function that the model may ask the client to call."""

    type: Literal["custom"] | None = None
    name: ToolName
    description: str | None = None
    input_schema: dict[str, Any]


class AnthropicToolChoice(Tolerant):
    """The tools that the answer may or must use."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = Field(default=None, description="The tool's name, with the type tool")
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.type == "tool" and not self.name:
            raise PydanticCustomError("invalid_request_error", "The type tool needs the name of a tool.")
        return self


class AnthropicFormat(Tolerant):
    """The JSON schema that the answer follows."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class AnthropicOutput(Tolerant):
    """The form of the answer."""

    format: AnthropicFormat | None = None


class AnthropicThinking(Tolerant):
    """Whether the model thinks before it answers."""

    neutral: ClassVar = {"display": ("summarized",)}

    type: Literal["enabled", "adaptive", "disabled"]


class AnthropicPrompt(Tolerant):
    """The fields that decide the prompt: the body of `POST /v1/messages/count_tokens`."""

    refused: ClassVar = {"mcp_servers": (), "container": ()}

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    messages: Annotated[list[AnthropicMessage], Field(min_length=1, max_length=MAX_LIST_ITEMS, fail_fast=True)]
    system: str | Annotated[list[AnthropicText], Field(max_length=MAX_LIST_ITEMS)] | None = None
    tools: Annotated[list[AnthropicTool], Field(max_length=MAX_LIST_ITEMS)] | None = None
    tool_choice: AnthropicToolChoice | None = None
    thinking: AnthropicThinking | None = None
    output_config: AnthropicOutput | None = None
    output_format: AnthropicFormat | None = Field(default=None, description="An older name for output_config.format")


class AnthropicBody(AnthropicPrompt):
    """The body of `POST /v1/messages`."""

    neutral: ClassVar = {"service_tier": ("auto", "standard_only")}

    max_tokens: TokenLimit = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_k: TopK | None = None
    top_p: TopP | None = None
    stop_sequences: Stops | None = None
    stream: bool | None = None
