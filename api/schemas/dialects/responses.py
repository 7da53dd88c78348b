"""The body of `POST /v1/responses`, as OpenAI's clients send it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, PrivateAttr, Tag

from api.schemas.chat.chat_message import Content
from api.schemas.chat.chat_request import ChatCompletionBody, StreamOptions
from api.schemas.numbers import Seed, TokenLimit, TopK, TopP, Whole
from api.schemas.tolerance import Tolerant
from api.schemas.wire import MAX_LIST_ITEMS
from jobs.requests import Message, Request
from jobs.tools import MAX_CALL_ID, ToolName

_Parts = Annotated[list[Content], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)]


class ResponseMessage(Tolerant):
    """A message of the conversation."""

    neutral: ClassVar = {"phase": ("final_answer", "commentary")}

    type: Literal["message"] | None = None
    id: str | None = None
    status: str | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: str | _Parts


class ResponseFunctionCall(Tolerant):
    """A call that an earlier response asked for."""

    type: Literal["function_call"]
    id: str | None = None
    status: str | None = None
    call_id: str = Field(min_length=1, max_length=MAX_CALL_ID)
    name: str
    arguments: str


class ResponseFunctionOutput(Tolerant):
    """The result of a call."""

    type: Literal["function_call_output"]
    id: str | None = None
    status: str | None = None
    call_id: str = Field(max_length=MAX_CALL_ID)
    output: str | _Parts


class ResponseReasoning(Tolerant):
    """Thoughts of an earlier response: accepted, and not shown to the model again."""

    type: Literal["reasoning"]
    id: str | None = None
    status: str | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    encrypted_content: str | None = None


def _kind(item: Any) -> str:
    """Return the type of an item: one without a type is a message."""
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return str(kind or "message")


Item = Annotated[
    Annotated[ResponseMessage, Tag("message")]
    | Annotated[ResponseFunctionCall, Tag("function_call")]
    | Annotated[ResponseFunctionOutput, Tag("function_call_output")]
    | Annotated[ResponseReasoning, Tag("reasoning")],
    Discriminator(_kind),
]


class ResponseFormat(Tolerant):
    """The form of the text: free, any JSON object, or JSON that the schema describes."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class ResponseText(Tolerant):
    """Settings of the text."""

    neutral: ClassVar = {"verbosity": ("medium",)}

    format: ResponseFormat | None = None


class ResponseFunctionTool(Tolerant):
    """A function that the model may ask the client to call."""

    type: Literal["function"]
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponsesBody(Tolerant):
    """A request of a response."""

    refused: ClassVar = {"prompt": (), "conversation": ()}
    hints: ClassVar = {
        "prompt": "Send the prompt's text as instructions or input.",
        "conversation": "Continue a response with previous_response_id.",
    }
    neutral: ClassVar = {
        "service_tier": ("auto", "default", "flex"),
        "truncation": ("disabled",),
        "reasoning": ({"effort": "none"},),
    }

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    input: str | Annotated[list[Item], Field(min_length=1, max_length=MAX_LIST_ITEMS, fail_fast=True)]
    instructions: str | None = Field(default=None, description="The system message of this response only")
    previous_response_id: str | None = Field(
        default=None, max_length=64, description="The response whose conversation goes on"
    )
    text: ResponseText | None = None
    max_output_tokens: TokenLimit = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: TopP | None = None
    top_k: TopK | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: Seed = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=20)
    include: list[str] | None = Field(
        default=None, description="message.output_text.logprobs; others are without effect"
    )
    tools: Annotated[list[ResponseFunctionTool], Field(max_length=MAX_LIST_ITEMS)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = Field(default=None, description="Answer at once with the queued response; poll it")
    service_tier: str | None = Field(
        default=None, description="priority: a background response goes ahead of bulk work"
    )
    store: bool | None = Field(default=None, description="false: the response cannot be retrieved or continued")
    metadata: dict[str, str] | None = Field(default=None, max_length=16, description="Kept, and returned")
    user: str | None = Field(default=None, max_length=256, description="Accepted, without effect")
    safety_identifier: str | None = Field(default=None, max_length=256, description="Accepted, without effect")
    prompt_cache_key: str | None = Field(default=None, description="Accepted, without effect")
    cache: bool | None = Field(default=None, description="false: generate the answer again. Not OpenAI's")
    max_pixels: Whole | None = Field(default=None, ge=1, description="Scale each image down. Not OpenAI's")


class ContinuedBody(ChatCompletionBody):
    """A chat request that goes on after the messages of an earlier one, whose images are stored already."""

    _earlier: list[Message] = PrivateAttr(default_factory=list)
    _has_instructions: bool = PrivateAttr(default=False)

    def continue_after(self, earlier: list[Message], *, has_instructions: bool) -> None:
        """Put the earlier messages before the new ones, behind the instructions if the first message holds those."""
        self._earlier = earlier
        self._has_instructions = has_instructions

    @property
    def first_new(self) -> int:
        """The index of the first new message in the request."""
        return int(self._has_instructions) + len(self._earlier)

    def to_request(self, model: str, addresses: Any) -> Request:
        """Return the request that is queued. Raises InvalidRequestError."""
        request = super().to_request(model, addresses)
        at = int(self._has_instructions)
        messages = [*request.messages[:at], *self._earlier, *request.messages[at:]]
        return request.model_copy(update={"messages": messages})
