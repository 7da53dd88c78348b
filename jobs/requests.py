"""A request: messages, image references and sampling. Validated once, here.

The shapes are the part of OpenAI's chat completion request that a local model can honour.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote_to_bytes

from pydantic import Field, field_validator, model_validator

from jobs.request_defaults import MAX_CHOICES, MAX_FRAMES, MAX_TOKENS
from jobs.response_format import AnswerFormat, Part, TextFormat
from jobs.tools import MAX_CALL_ID, ToolCall, Tools

#: OpenAI's limit.
MAX_STOPS = 4
#: Characters of a stop string. A stream holds back text that may be the beginning of one.
MAX_STOP = 256
#: The largest area of an image that a request may ask for.
MOST_PIXELS = 16_777_216
#: Fewest pixels that an image may be scaled down to by a request.
LEAST_PIXELS = 1024
#: OpenAI's limit on the entries of `logit_bias`.
MAX_BIASES = 1024

StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]


def path_of(address: str) -> Path:
    """Return the path of a file address (`file:///…`), the inverse of `Path.as_uri`. Names need not be valid UTF-8."""
    return Path(os.fsdecode(unquote_to_bytes(address.removeprefix("file://"))))


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


class Sampling(Part):
    """The choice of the next token. The defaults are greedy decoding: the same input gives the same answer."""

    max_tokens: int = Field(default=256, ge=1, le=MAX_TOKENS)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, allow_inf_nan=False)
    #: 0 means all tokens.
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    #: With a seed, a sampled answer is the same whatever else is in the batch.
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    #: The answer ends before the first of these strings.
    stop: Annotated[tuple[StopString, ...], Field(max_length=MAX_STOPS)] = ()
    #: Divides the positive logits of the tokens of the prompt and the answer, and multiplies the negative ones (Keskar et al.
    #: 2019, arXiv 1909.05858, as in transformers). Outside the limits float32 overflows.
    repetition_penalty: float = Field(default=1.0, ge=0.01, le=100.0, allow_inf_nan=False)
    #: Subtracted from the logit of a token of the answer: once, and once for each time the token occurs. OpenAI's meaning.
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    #: Added to the logits of tokens, by the tokens' ids.
    logit_bias: dict[TokenId, Bias] = Field(default_factory=dict, max_length=MAX_BIASES)
    #: Report the log-probability of each token of the answer, and of the `top_logprobs` most likely tokens at its position.
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)

    @field_validator("stop", mode="before")
    @classmethod
    def _accept_one_stop(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("logit_bias")
    @classmethod
    def _put_biases_in_order(cls, value: dict[int, float]) -> dict[int, float]:
        # Equal requests have equal digests: neither the order nor a bias of 0 makes a difference.
        return {token: bias for token, bias in sorted(value.items()) if bias}

    @model_validator(mode="after")
    def _refuse_top_logprobs_alone(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError(f"top_logprobs is {self.top_logprobs}, but logprobs is off. Set logprobs to true.")
        return self

    @property
    def is_penalized(self) -> bool:
        """Whether the logits depend on earlier tokens."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)


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
    def digest(self) -> str:
        """Hash of the request: 64 bits in 16 hex digits, equal for equal requests."""
        # Later fields are left out at their defaults: a row that an older version queued keeps its digest, so a run that takes
        # the row up still recognises it.
        unused = {name for name in _LATER if getattr(self.sampling, name) == getattr(_DEFAULTS, name)}
        excluded: dict[str, bool | set[str]] = {"sampling": unused}
        excluded |= {
            name: True for name in _LATER_IN_REQUEST if getattr(self, name) == type(self).model_fields[name].default
        }
        return hashlib.sha256(self.model_dump_json(exclude=excluded).encode()).hexdigest()[:16]

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
        url = image if isinstance(image, str) else image.as_uri()
        part = ImagePart(image_url=ImageURL(url=url, detail=detail))
        messages = [Message(role="user", content=[part, TextPart(text=prompt)])]
        if system is not None:
            messages.insert(0, Message(role="system", content=system))
        return cls(model=model, messages=messages, sampling=sampling, response_format=response_format, **others)
