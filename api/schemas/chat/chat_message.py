"""The messages of a chat completion, with their texts and images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.chat.chat_tools import MessageToolCall
from api.schemas.chat.foreign_parameters import HINTS_IN_MESSAGES, REFUSED_IN_MESSAGES
from api.schemas.tolerance import Tolerant
from api.schemas.wire import MAX_LIST_ITEMS
from jobs.requests import ImagePart, ImageURL, Message, TextPart
from jobs.tools import MAX_CALL_ID, MAX_TOOLS

Detail = Literal["auto", "low", "high", "original"]


class ImageReference(Tolerant):
    """An image: its address, or the id of an uploaded file."""

    url: str | None = Field(
        default=None,
        min_length=1,
        description="https:, data: or bare base64 or, for a file below a served folder, file: or its absolute path",
    )
    file_id: str | None = Field(default=None, description="The id of a file uploaded to POST /v1/files")
    detail: Detail | None = Field(default=None, description="low: fewer pixels, faster")

    @model_validator(mode="after")
    def _either_url_or_file(self) -> Self:
        if (self.url is None) == (self.file_id is None):
            raise PydanticCustomError("invalid_image_url", "An image has either a url or a file_id.")
        return self


class TextContent(Tolerant):
    """A part that is text."""

    refused: ClassVar = {"image_url": (), "image": ()}

    type: Literal["text", "input_text", "output_text"]
    text: str


Address = Annotated[str, Field(min_length=1)]


class ImageContent(Tolerant):
    """A part that is an image, as Chat Completions (`image_url`), Responses (`input_image`) and others (`image`) write it."""

    refused: ClassVar = {"text": ()}

    type: Literal["image_url", "input_image", "image"]
    image_url: ImageReference | Address | None = Field(default=None, description="The image, or its address itself")
    image: ImageReference | Address | None = Field(default=None, description="Another name for image_url")
    url: Address | None = Field(default=None, description="The image's address, if it is not in image_url")
    file_id: str | None = Field(default=None, description="The id of an uploaded file, if it is not in image_url")
    detail: Detail | None = Field(default=None, description="low: fewer pixels, faster")

    @model_validator(mode="after")
    def _refers_to_one_image(self) -> Self:
        if [self.image_url, self.image, self.url, self.file_id].count(None) != 3:
            raise PydanticCustomError("invalid_image_url", "An image has either a url or a file_id.")
        return self

    @property
    def reference(self) -> ImageReference:
        """The image that the part refers to."""
        given = self.image_url or self.image or self.url
        if isinstance(given, ImageReference):
            return given.model_copy(update={"detail": given.detail or self.detail})
        return ImageReference(url=given, file_id=self.file_id, detail=self.detail)


class ImageFileContent(Tolerant):
    """A part that is an uploaded image, as Assistants writes it."""

    type: Literal["image_file"]
    image_file: ImageReference

    @property
    def reference(self) -> ImageReference:
        """The image that the part refers to."""
        return self.image_file


Content = Annotated[TextContent | ImageContent | ImageFileContent, Field(discriminator="type")]


class ChatMessage(Tolerant):
    """A message of the conversation: a text, or a list of texts and images, and calls of functions."""

    refused = REFUSED_IN_MESSAGES
    hints = HINTS_IN_MESSAGES

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Content], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)] | None = None
    tool_calls: Annotated[list[MessageToolCall], Field(max_length=MAX_TOOLS)] | None = Field(
        default=None, description="The calls of a message of the assistant"
    )
    tool_call_id: str | None = Field(
        default=None, max_length=MAX_CALL_ID, description="The call whose result a message of the role tool is"
    )

    @model_validator(mode="after")
    def _check_call_fields(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise PydanticCustomError("invalid_request_error", "Only a message of the assistant has tool_calls.")
        if self.role == "tool" and self.tool_call_id is None:
            raise PydanticCustomError("invalid_request_error", "A message of the role tool needs a tool_call_id.")
        return self

    @property
    def text(self) -> str:
        """The message's words and the arguments of its calls, without its images."""
        parts = self.content if isinstance(self.content, list) else [TextContent(type="text", text=self.content or "")]
        words = [part.text for part in parts if isinstance(part, TextContent)]
        return " ".join([*words, *(call.function.arguments for call in self.tool_calls or ())])

    def images(self) -> list[ImageReference]:
        """Return the references of the message's images."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.reference for part in parts if not isinstance(part, TextContent)]

    def to_message(self, addresses: Iterator[str]) -> Message:
        """Return the message as jobs store it; its images take the next addresses."""
        content = self.content or ""
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=content if isinstance(content, str) else [_part(part, addresses) for part in content],
            tool_calls=tuple(call.to_call() for call in self.tool_calls or ()),
            tool_call_id=self.tool_call_id if self.role == "tool" else None,
        )


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


def _part(part: Content, addresses: Iterator[str]) -> TextPart | ImagePart:
    if isinstance(part, TextContent):
        return TextPart(text=part.text)
    detail = part.reference.detail
    return ImagePart(
        image_url=ImageURL(url=next(addresses), detail="high" if detail == "original" else detail or "auto")
    )
