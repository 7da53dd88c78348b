"""The bodies of Ollama's chat and generate, as Ollama's clients send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from api.schemas.chat.chat_request import Stop, Stops
from api.schemas.numbers import Seed, TopK, TopP, Whole
from api.schemas.tolerance import Tolerant
from api.schemas.wire import MAX_LIST_ITEMS

#: An image in base64, as a client reads it from a file.
Base64Image = Annotated[str, Field(min_length=1)]
Images = Annotated[list[Base64Image], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)]
_NO_TEMPLATE = "Prompts always follow the model's own chat template."


class OllamaOptions(Tolerant):
    """Options of one answer. Those that tune Ollama's own engine, such as `num_ctx`, are accepted."""

    num_predict: Annotated[Whole, Field(ge=-2)] | None = Field(
        default=None, description="Most tokens of the answer; 0 or less: the server's limit"
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_k: TopK | None = None
    top_p: TopP | None = None
    min_p: float | None = Field(default=None, ge=0, le=1)
    seed: Seed = None
    stop: Stop | Stops | None = None
    repeat_penalty: float | None = Field(default=None, ge=0.01, le=100)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)


class OllamaFunction(Tolerant):
    """The call of a function."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class OllamaToolCall(Tolerant):
    """A call that an earlier answer asked for."""

    function: OllamaFunction


class OllamaMessage(Tolerant):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[OllamaToolCall], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)] | None = None
    tool_name: str | None = None


class OllamaBody(Tolerant):
    """The fields that chat and generate share."""

    model: str | None = Field(default=None, description="A model of GET /api/tags; the default model if absent")
    stream: bool | None = Field(
        default=None, description="false: one object; else a line of JSON for each piece of text"
    )
    format: str | dict[str, Any] | None = Field(default=None, description="json, or a JSON schema")
    options: OllamaOptions | None = None
    think: bool | Literal["true", "false", "low", "medium", "high"] | None = Field(
        default=None, description="Whether a model with a switch for it thinks before it answers"
    )
    keep_alive: str | float | None = Field(
        default=None,
        description="Ignored: CAPTIONQ_KEEP_ALIVE decides; with 0 a request without a prompt loads nothing",
    )
    images: Images | None = None

    def ignored(self, place: str = "") -> Iterator[str]:
        """Yield the names of all fields that are ignored although they ask for something; `keep_alive` is one of them."""
        if self.keep_alive not in (None, ""):
            yield place + "keep_alive"
        yield from super().ignored(place)


class OllamaChatBody(OllamaBody):
    """The body of `POST /api/chat`. Without messages the model is loaded."""

    messages: Annotated[list[OllamaMessage], Field(max_length=MAX_LIST_ITEMS, fail_fast=True)] | None = None
    tools: list[dict[str, Any]] | None = None


class OllamaGenerateBody(OllamaBody):
    """The body of `POST /api/generate`. Without a prompt the model is loaded."""

    refused: ClassVar = {"raw": (False,), "template": (), "suffix": ()}
    hints: ClassVar = {"raw": _NO_TEMPLATE, "template": _NO_TEMPLATE}

    prompt: str | None = None
    system: str | None = None


class OllamaModelName(Tolerant):
    """The body of requests about one model."""

    model: str | None = None
    name: str | None = Field(default=None, description="An older name for model")
    stream: bool | None = None
