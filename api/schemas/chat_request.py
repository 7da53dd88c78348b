"""What OpenAI's clients send: the body of a chat completion, and what it means here.

Nothing is ignored in silence. A parameter that this server cannot honour is refused by its name, unless its value asks for
what happens anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.errors import InvalidRequestError
from jobs.request_defaults import MAX_TOKENS
from jobs.requests import (
    MAX_STOPS,
    Bias,
    ImagePart,
    ImageURL,
    Message,
    Request,
    Sampling,
    StopString,
    TextPart,
    TokenId,
)
from jobs.response_format import ResponseFormat

#: Tokens of an answer without `max_tokens`.
DEFAULT_MAX_TOKENS = 1024
#: Items of any list in a body, before settings are asked: each one that is validated takes time and memory.
MOST_IN_BODY = 10_000
#: Parameters of OpenAI's that mean nothing here, and the values with which they ask for nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "metadata": ({},),
    "prompt_cache_key": (),
    "prompt_cache_retention": (),
    "moderation": (),
}
#: What a message of OpenAI's own answers carries besides: all of it empty here.
_EMPTY_IN_MESSAGES = ("name", "refusal", "annotations", "audio", "function_call", "tool_calls", "reasoning_content")


class Wire(BaseModel):
    """A part of a body: unknown fields are refused, and what has another type than the document says ("true" is no boolean);
    absent and null mean the same."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ImageReference(Wire):
    """An image: by its address, or as a file that was uploaded."""

    url: str | None = Field(
        default=None, min_length=1, description="https:, data: or, below a folder that is served, file:"
    )
    file_id: str | None = Field(default=None, description="Of POST /v1/files")
    detail: Literal["auto", "low", "high"] | None = Field(default=None, description="low: fewer pixels, faster")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.url is None) == (self.file_id is None):
            raise PydanticCustomError("invalid_image_url", "An image has either a url or a file_id.")
        return self


class TextContent(Wire):
    type: Literal["text"]
    text: str


class ImageContent(Wire):
    type: Literal["image_url"]
    image_url: ImageReference | Annotated[str, Field(min_length=1)]

    @field_validator("image_url")
    @classmethod
    def _accept_bare_string(cls, value: ImageReference | str) -> ImageReference:
        # Some clients send the address itself where OpenAI's document has an object.
        return ImageReference(url=value) if isinstance(value, str) else value


class ImageFileContent(Wire):
    type: Literal["image_file"]
    image_file: ImageReference


Content = Annotated[TextContent | ImageContent | ImageFileContent, Field(discriminator="type")]


class ChatMessage(Wire):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Content], Field(max_length=MOST_IN_BODY, fail_fast=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: one for name, one in value.items() if one or name not in _EMPTY_IN_MESSAGES}

    @property
    def text(self) -> str:
        """Its words, without its images."""
        parts = self.content if isinstance(self.content, list) else [TextContent(type="text", text=self.content or "")]
        return " ".join(part.text for part in parts if isinstance(part, TextContent))

    def images(self) -> list[ImageReference]:
        parts = self.content if isinstance(self.content, list) else []
        return [_reference(part) for part in parts if not isinstance(part, TextContent)]


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CompletionBody(Wire):
    """What to answer, and how: OpenAI's fields, and some of vLLM's."""

    model: str | None = Field(default=None, description="Of GET /v1/models; without it the default one")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_IN_BODY, fail_fast=True)]
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2, description="0, the default: the likeliest token")
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: StopString | Annotated[list[StopString], Field(max_length=MAX_STOPS)] | None = None
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=100)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    # Not strict: the names of a JSON object are strings.
    logit_bias: dict[Annotated[TokenId, Field(strict=False)], Bias] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    user: str | None = Field(default=None, max_length=256, description="Changes nothing")
    safety_identifier: str | None = Field(default=None, max_length=256, description="Changes nothing")

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_cannot_be_honoured(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        _check_parts(value.get("messages"))
        for name, neutral in NEUTRAL.items():
            if value.get(name) is not None and not any(_same(value[name], one) for one in neutral):
                raise PydanticCustomError(
                    "unsupported_parameter",
                    "'{name}' is not supported with this value. Leave it out.",
                    {"name": name},
                )
        return {name: one for name, one in value.items() if name not in NEUTRAL}

    def images(self) -> list[ImageReference]:
        """Every image reference, in the order in which the model reads them."""
        return [image for message in self.messages for image in message.images()]

    def to_request(self, model: str, addresses: Sequence[str]) -> Request:
        """The request that is queued; `addresses`: where the images of `images()` are. Raises InvalidRequestError."""
        limit = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        named = {name: value for name in Sampling.model_fields if (value := getattr(self, name)) is not None}
        rest = iter(addresses)
        try:
            return Request(
                model=model,
                messages=[_message(message, rest) for message in self.messages],
                sampling=Sampling(**{**named, "max_tokens": limit}),
                response_format=self.response_format,
            )
        except ValidationError as error:
            raise InvalidRequestError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class ChatCompletionBody(CompletionBody):
    """`POST /v1/chat/completions`."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("invalid_request_error", "stream_options are for stream: true.")
        return self


def _check_parts(messages: Any) -> None:
    """Raise for more parts in all messages together than one of them may have: each one that is validated takes memory."""
    contents = (
        [message.get("content") for message in messages if isinstance(message, dict)]
        if isinstance(messages, list)
        else []
    )
    parts = sum(len(content) for content in contents if isinstance(content, list))
    if parts > MOST_IN_BODY:
        raise PydanticCustomError(
            "invalid_request_error",
            "The messages have {parts} parts together; {most} are allowed.",
            {"parts": parts, "most": MOST_IN_BODY},
        )


def _same(value: Any, neutral: Any) -> bool:
    # 1 == True: a bool is not to pass for a number.
    return type(value) is type(neutral) and bool(value == neutral)


def _reference(part: ImageContent | ImageFileContent) -> ImageReference:
    reference = part.image_url if isinstance(part, ImageContent) else part.image_file
    assert isinstance(reference, ImageReference)
    return reference


def _message(message: ChatMessage, addresses: Iterator[str]) -> Message:
    role = "system" if message.role == "developer" else message.role
    if not isinstance(message.content, list):
        return Message(role=role, content=message.content or "")
    return Message(role=role, content=[_part(part, addresses) for part in message.content])


def _part(part: Content, addresses: Iterator[str]) -> TextPart | ImagePart:
    if isinstance(part, TextContent):
        return TextPart(text=part.text)
    return ImagePart(image_url=ImageURL(url=next(addresses), detail=_reference(part).detail or "auto"))
