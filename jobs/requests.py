"""What is asked: messages, image references and sampling. Validated once, here.

The shapes are OpenAI's chat completion request, of which this is the part that a local model can honour.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from jobs.limits import MAX_BIASES, MAX_TOKENS
from jobs.response_format import ResponseFormat


def path_of(address: str) -> Path:
    """The path of a file address (`file:///…`), of names that are no valid UTF-8 too: the inverse of `Path.as_uri`."""
    return Path(os.fsdecode(unquote_to_bytes(address.removeprefix("file://"))))


class Part(BaseModel):
    """A part of a message; unknown fields are refused, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
        # Some clients send the address itself where OpenAI's document has an object.
        return {"url": value} if isinstance(value, str) else value


class Message(Part):
    role: Literal["system", "user", "assistant"]
    #: Text and images in the order in which the model is to read them.
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]

    @property
    def images(self) -> list[ImageURL]:
        if isinstance(self.content, str):
            return []
        return [part.image_url for part in self.content if isinstance(part, ImagePart)]


TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]


class Sampling(Part):
    """How the next token is chosen. The defaults are greedy decoding: the same input gives the same answer."""

    max_tokens: int = Field(default=256, ge=1, le=MAX_TOKENS)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, allow_inf_nan=False)
    #: 0 means all tokens.
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    #: With a seed, a sampled answer is the same whatever else is in the batch.
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    #: Divides the logits of tokens that are in the prompt or the answer already; above 1 they get rarer.
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0, allow_inf_nan=False)
    #: Taken off the logits of tokens that are in the answer already: once, and for each time.
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    #: Added to the logits of these token ids.
    logit_bias: dict[TokenId, Bias] = Field(default_factory=dict, max_length=MAX_BIASES)
    #: The answer ends before the first of these texts.
    stop: tuple[StopText, ...] = Field(default=(), max_length=4)
    #: Whether the model's own log-probabilities are kept, and of how many of the likeliest tokens at each place.
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)

    @field_validator("stop", mode="before")
    @classmethod
    def _accept_one_stop(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else () if value is None else value

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self


class Request(Part):
    """One chat completion."""

    #: A Hugging Face id, a local folder, or the name of a built-in model.
    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    sampling: Sampling = Sampling()
    response_format: ResponseFormat | None = None

    @property
    def images(self) -> list[ImageURL]:
        """Every image reference, in the order in which the model reads them."""
        return [image for message in self.messages for image in message.images]

    @property
    def digest(self) -> str:
        """64 bits (16 hex digits) that are equal for equal requests."""
        # Without what was left at its default, so that a new field does not make old requests different ones.
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]

    @classmethod
    def about_image(cls, path: Path, *, model: str, prompt: str, sampling: Sampling) -> Self:
        """Ask `prompt` about the image file at the absolute `path`."""
        image = ImagePart(image_url=ImageURL(url=path.as_uri()))
        return cls(
            model=model,
            messages=[Message(role="user", content=[image, TextPart(text=prompt)])],
            sampling=sampling,
        )
