"""A request: messages, image references and sampling. Validated once, here.

The shapes are the part of OpenAI's chat completion request that a local model can honour.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote_to_bytes

from pydantic import Field, field_validator

from jobs.answer_format.response_format import AnswerFormat, Part, TextFormat
from jobs.mounts import file_address, mounts
from jobs.objects.paths import is_object, is_object_address, object_address, object_path
from jobs.request_defaults import MAX_CHOICES, MAX_FRAMES
from jobs.sampling import Sampling
from jobs.tools import MAX_CALL_ID, ToolCall, Tools

#: The largest area of an image that a request may ask for.
MOST_PIXELS = 16_777_216
#: Fewest pixels that an image may be scaled down to by a request.
LEAST_PIXELS = 1024


def path_of(address: str) -> Path:
    """Return the path on this machine of a file address (`file:///…`), or the path that stands for an object (`s3://…`).

    Names need not be valid UTF-8.
    """
    if is_object_address(address):
        return object_path(address)
    return mounts().here(Path(os.fsdecode(unquote_to_bytes(address.removeprefix("file://")))))


def address_of(path: Path) -> str:
    """Return the address by which rows name a file of this machine or an object: the inverse of `path_of`.

    Raises InvalidRequestError for a file that no address can name.
    """
    return object_address(path) if is_object(path) else file_address(mounts().named(path))


def digest_of(stored: str) -> str:
    """Return the digest of a request from its JSON (`Request.stored`)."""
    return hashlib.sha256(stored.encode()).hexdigest()[:16]


class TextPart(Part):
    type: Literal["text"] = "text"
    text: str


class ImageURL(Part):
    #: `file:///…`, `data:image/…;base64,…` or `https://…`
    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(Part):
    type: Literal["image_url"] = "image_url"
    image_url: ImageURL

    @field_validator("image_url", mode="before")
    @classmethod
    def _accept_bare_string(cls, value: object) -> object:
        # Some clients send the address itself instead of the object of OpenAI's document.
        return {"url": value} if isinstance(value, str) else value


class Message(Part):
    role: Literal["system", "user", "assistant", "tool"]
    #: Text and images in the order in which the model is to read them.
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
    #: The calls of a message of the assistant. Without calls the field is not stored: a row that an older version queued keeps
    #: its digest.
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=lambda calls: not calls)
    #: The id of the call whose result a message of the role `tool` is.
    tool_call_id: str | None = Field(default=None, max_length=MAX_CALL_ID, exclude_if=lambda call: call is None)

    @property
    def images(self) -> list[ImageURL]:
        if isinstance(self.content, str):
            return []
        return [part.image_url for part in self.content if isinstance(part, ImagePart)]

    @property
    def texts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content if isinstance(part, TextPart)]


_DEFAULTS = Sampling()
#: Fields that the first version did not have.
_LATER = (
    "stop",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
_LATER_IN_REQUEST = (
    "response_format",
    "cache",
    "max_pixels",
    "max_words",
    "max_characters",
    "near_duplicates",
    "frames",
    "tools",
    "thinking",
    "choices",
)


class Request(Part):
    """One chat completion."""

    #: A Hugging Face id, a local folder, or the name of a built-in model.
    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    sampling: Sampling = Sampling()
    #: None: free text.
    response_format: AnswerFormat | None = None
    #: Whether an answer to the same question about the same pixels may be given again.
    cache: bool = True
    #: Maximum pixels of each image; None: as the worker's settings say.
    max_pixels: int | None = Field(default=None, ge=LEAST_PIXELS, le=MOST_PIXELS)
    #: Words after which free text is cut; None: nowhere.
    max_words: int | None = Field(default=None, ge=1)
    #: Characters after which free text is cut; None: nowhere.
    max_characters: int | None = Field(default=None, ge=1)
    #: Whether an image that looks the same as one before gets that image's answer.
    near_duplicates: bool = False
    #: Maximum number of frames of a video, or pages of a document, that are shown for each of the images.
    frames: int = Field(default=1, ge=1, le=MAX_FRAMES)
    #: The functions that the model may call; None: it answers with text.
    tools: Tools | None = None
    #: Whether a model with a switch for it thinks before it answers.
    thinking: bool = False
    #: Number of sampled answers.
    choices: int = Field(default=1, ge=1, le=MAX_CHOICES)

    @field_validator("response_format")
    @classmethod
    def _make_text_the_default(cls, value: AnswerFormat | None) -> AnswerFormat | None:
        # Both ask the same, so both have the same digest.
        return None if isinstance(value, TextFormat) else value

    @property
    def images(self) -> list[ImageURL]:
        """Every image reference, in the order in which the model reads them."""
        return [image for message in self.messages for image in message.images]

    @property
    def stored(self) -> str:
        """JSON of the request for its row, equal for equal requests."""
        # Later fields are left out at their defaults: a row that an older version queued keeps its digest, so a run that takes
        # the row up still recognises it. It also halves the row.
        unused = {name for name in _LATER if getattr(self.sampling, name) == getattr(_DEFAULTS, name)}
        excluded: dict[str, bool | set[str]] = {"sampling": unused}
        excluded |= {
            name: True for name in _LATER_IN_REQUEST if getattr(self, name) == type(self).model_fields[name].default
        }
        return self.model_dump_json(exclude=excluded)

    @property
    def digest(self) -> str:
        """Hash of the request: 64 bits in 16 hex digits, equal for equal requests."""
        return digest_of(self.stored)

    def with_frames(self, counts: Iterable[int]) -> Self:
        """Return the request with this many parts in the place of each image: one for each of its frames."""
        left = iter(counts)
        messages = [
            message
            if isinstance(message.content, str)
            else message.model_copy(
                update={
                    "content": [
                        one
                        for part in message.content
                        for one in ([part] * next(left) if isinstance(part, ImagePart) else [part])
                    ]
                }
            )
            for message in self.messages
        ]
        return self.model_copy(update={"messages": messages})

    @classmethod
    def about_image(
        cls,
        image: Path | str,
        *,
        model: str,
        prompt: str,
        sampling: Sampling,
        response_format: AnswerFormat | None = None,
        system: str | None = None,
        detail: Literal["auto", "low", "high"] = "auto",
        **others: Any,
    ) -> Self:
        """Ask `prompt` about an image file with an absolute path, or about the image at an address.

        `others`: the request's other fields.
        """
        url = image if isinstance(image, str) else address_of(image)
        part = ImagePart(image_url=ImageURL(url=url, detail=detail))
        messages = [Message(role="user", content=[part, TextPart(text=prompt)])]
        if system is not None:
            messages.insert(0, Message(role="system", content=system))
        return cls(model=model, messages=messages, sampling=sampling, response_format=response_format, **others)


class RequestTemplate:
    """JSON of a request about one image file, with a gap for the file's address: a run makes it once, not for each image."""

    def __init__(self, before: str, after: str) -> None:
        self._before = before
        self._after = after

    @classmethod
    def of(cls, request: Request) -> Self:
        """Make the template of a request about the image at `placeholder()`."""
        before, address, after = request.stored.partition(request.images[0].url)
        assert address
        return cls(before, after)

    def stored(self, address: str) -> str:
        """Return `Request.stored` of the request about a file (`file:///…`). No character of an address is escaped in JSON."""
        return f"{self._before}{address}{self._after}"


def placeholder() -> str:
    """Make an address that occurs nowhere else in a request."""
    return f"file:///{token_hex(16)}"
