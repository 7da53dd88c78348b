"""The messages of a chat completion, with their texts and images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.wire import MAX_LIST_ITEMS, Wire
from jobs.requests import ImagePart, ImageURL, Message, TextPart

#: Fields of OpenAI's own answers that clients send back: accepted if they are empty.
_EMPTY_IN_MESSAGES = ("name", "refusal", "annotations", "audio", "function_call", "tool_calls")
#: Fields of answers that clients send back and no model needs: earlier thoughts are not part of a conversation.
_LEFT_OUT = ("reasoning_content",)


class ImageReference(Wire):
    """An image: its address, or the id of an uploaded file."""

    url: str | None = Field(
        default=None, min_length=1, description="https:, data: or, for a file below a served folder, file:"
    )
    file_id: str | None = Field(default=None, description="The id of a file uploaded to POST /v1/files")
    detail: Literal["auto", "low", "high"] | None = Field(default=None, description="low: fewer pixels, faster")

    @model_validator(mode="after")
    def _either_url_or_file(self) -> Self:
        if (self.url is None) == (self.file_id is None):
            raise PydanticCustomError("invalid_image_url", "An image has either a url or a file_id.")
        return self


class TextContent(Wire):
    """A part that is text."""

    type: Literal["text"]
    text: str


class ImageContent(Wire):
    """A part that is an image."""

    type: Literal["image_url"]
    image_url: ImageReference | Annotated[str, Field(min_length=1)]

    @field_validator("image_url")
    @classmethod
    def _accept_bare_string(cls, value: ImageReference | str) -> ImageReference:
        # Some clients send the address itself where OpenAI's document has an object.
        return ImageReference(url=value) if isinstance(value, str) else value


class ImageFileContent(Wire):
    """A part that is an uploaded image."""

    type: Literal["image_file"]
    image_file: ImageReference


Content = Annotated[TextContent | ImageContent | ImageFileContent, Field(discriminator="type")]


class ChatMessage(Wire):
    """A message of the conversation: a text, or a list of texts and images."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Content], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {name: one for name, one in value.items() if one or name not in _EMPTY_IN_MESSAGES}
        return {name: one for name, one in kept.items() if name not in _LEFT_OUT}

    @property
    def text(self) -> str:
        """The message's words, without its images."""
        parts = self.content if isinstance(self.content, list) else [TextContent(type="text", text=self.content or "")]
        return " ".join(part.text for part in parts if isinstance(part, TextContent))

    def images(self) -> list[ImageReference]:
        """Return the references of the message's images."""
        parts = self.content if isinstance(self.content, list) else []
        return [_reference(part) for part in parts if not isinstance(part, TextContent)]

    def to_message(self, addresses: Iterator[str]) -> Message:
        """Return the message as jobs store it; its images take the next addresses."""
        role = "system" if self.role == "developer" else self.role
        if not isinstance(self.content, list):
            return Message(role=role, content=self.content or "")
        return Message(role=role, content=[_part(part, addresses) for part in self.content])


def check_parts(messages: Any) -> None:
    """Refuse messages with more parts together than one list may have: validating each part takes memory."""
    contents = (
        [message.get("content") for message in messages if isinstance(message, dict)]
        if isinstance(messages, list)
        else []
    )
    parts = sum(len(content) for content in contents if isinstance(content, list))
    if parts > MAX_LIST_ITEMS:
        raise PydanticCustomError(
            "invalid_request_error",
            "The messages have {parts} parts together; {most} are allowed.",
            {"parts": parts, "most": MAX_LIST_ITEMS},
        )


def _reference(part: ImageContent | ImageFileContent) -> ImageReference:
    reference = part.image_url if isinstance(part, ImageContent) else part.image_file
    assert isinstance(reference, ImageReference)
    return reference


def _part(part: Content, addresses: Iterator[str]) -> TextPart | ImagePart:
    if isinstance(part, TextContent):
        return TextPart(text=part.text)
    return ImagePart(image_url=ImageURL(url=next(addresses), detail=_reference(part).detail or "auto"))
