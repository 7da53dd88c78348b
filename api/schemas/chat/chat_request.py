"""The body of a chat completion, as OpenAI's clients send it.

No parameter is ignored silently: one that this server cannot honour is refused, or named in a header.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.chat.chat_message import ChatMessage, ImageReference, check_parts
from api.schemas.chat.chat_tools import ToolChoice, ToolDefinition, tools_of
from api.schemas.chat.foreign_parameters import HINTS, NEUTRAL, REFUSED
from api.schemas.numbers import Seed, TokenLimit, TopK, TopP, Whole
from api.schemas.tolerance import Tolerant
from api.schemas.wire import MAX_LIST_ITEMS
from jobs.answer_format.response_format import ResponseFormat, VocabularyFormat
from jobs.errors import InvalidRequestError
from jobs.options.turn import Priority
from jobs.request_defaults import DEFAULT_CHAT_TOKENS, MAX_CHOICES, MAX_TOKENS
from jobs.requests import LEAST_PIXELS, MOST_PIXELS, Request
from jobs.sampling import MAX_STOP, MAX_STOPS, Bias, Sampling, TokenId
from jobs.tools import MAX_TOOLS

#: A text that ends the answer, and a list of such texts.
Stop = Annotated[str, Field(max_length=MAX_STOP)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]


def _without_empty(stop: str | list[str] | None) -> str | list[str] | None:
    """Leave out empty stop strings, which would end every answer at once."""
    return ([one for one in stop if one] if isinstance(stop, list) else stop) or None


class TemplateOptions(Tolerant):
    """Variables of chat templates, as vLLM's clients send them: only the switch for thinking is known."""

    enable_thinking: bool | None = None
    thinking: bool | None = None


class Thinking(Tolerant):
    """Anthropic's switch for thinking, which some servers of OpenAI's API take too."""

    type: Literal["enabled", "disabled", "auto"]


class StreamOptions(Tolerant):
    """Options of a streamed answer; without effect if the answer is not streamed."""

    include_usage: bool | None = Field(default=None, description="End the stream with the usage")
    include_obfuscation: bool | None = Field(default=None, description="Accepted, without effect")


class CompletionBody(Tolerant):
    """A conversation and how to answer it: OpenAI's fields, and some of vLLM's."""

    refused = REFUSED
    hints = HINTS
    neutral = NEUTRAL

    model: str | None = Field(default=None, description="A model of GET /v1/models; the default model if absent")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_LIST_ITEMS, fail_fast=True)]
    max_tokens: TokenLimit = Field(
        default=None,
        description=f"Most tokens of the answer, {MAX_TOKENS} and the context at most; {DEFAULT_CHAT_TOKENS} if absent, 0 or -1",
    )
    max_completion_tokens: TokenLimit = Field(
        default=None, description="OpenAI's newer name for max_tokens; it has precedence"
    )
    n: Whole | None = Field(
        default=None, ge=1, le=MAX_CHOICES, description="Number of answers; more than one needs a temperature above 0"
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="0, the default: always the most likely token"
    )
    top_p: TopP | None = Field(
        default=None,
        description="Sample from the most likely tokens whose probabilities add up to this (nucleus sampling)",
    )
    top_k: TopK | None = Field(
        default=None, description="Sample from this many of the most likely tokens; 0 or -1: all"
    )
    min_p: float | None = Field(
        default=None, ge=0, le=1, description="Sample from tokens at least this likely, relative to the most likely one"
    )
    seed: Seed = Field(default=None, description="The same seed gives the same sampled answer; -1: no seed")
    stop: Annotated[Stop | Stops | None, AfterValidator(_without_empty)] = Field(
        default=None, description="Strings that end the answer; they are not part of it"
    )
    repetition_penalty: float | None = Field(
        default=None, ge=0.01, le=100, description="1: off. Above: less repetition"
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Taken off the logit of each token in the answer"
    )
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="Taken off the logit of a token for each time it is in the answer"
    )
    # Not strict: the names of a JSON object are strings.
    logit_bias: dict[Annotated[TokenId, Field(strict=False)], Bias] | None = Field(
        default=None, description="Values added to the logits of tokens, by token id; -100 rules a token out"
    )
    logprobs: bool | None = Field(default=None, description="Return the log-probability of each token")
    top_logprobs: Whole | None = Field(
        default=None, ge=0, le=20, description="How many alternatives to return for each token; needs logprobs"
    )
    response_format: ResponseFormat | None = Field(default=None, description="Make the answer follow a JSON schema")
    tools: Annotated[list[ToolDefinition], Field(max_length=MAX_TOOLS)] | None = Field(
        default=None, description="Functions that the model may call"
    )
    tool_choice: ToolChoice | None = Field(
        default=None,
        description="none, auto (the default: a text or calls), required (at least one call), or the function to call",
    )
    parallel_tool_calls: bool | None = Field(default=None, description="false: at most one call")
    enable_thinking: bool | None = Field(
        default=None, description="true: a model with a switch for it thinks before it answers. Not OpenAI's"
    )
    think: bool | Literal["low", "medium", "high"] | None = Field(default=None, description="As enable_thinking")
    thinking: bool | Thinking | None = Field(default=None, description="As enable_thinking")
    chat_template_kwargs: TemplateOptions | None = Field(default=None, description="enable_thinking, as vLLM takes it")
    cache: bool | None = Field(
        default=None, description="false: generate the answer anew, also if the same question was answered before"
    )
    max_pixels: Whole | None = Field(
        default=None,
        ge=1,
        description=f"Scale each image down to this many pixels, {LEAST_PIXELS} at least: fewer are faster. Not OpenAI's",
    )
    user: str | None = Field(default=None, max_length=256, description="Accepted, without effect")
    safety_identifier: str | None = Field(default=None, max_length=256, description="Accepted, without effect")

    @model_validator(mode="before")
    @classmethod
    def _check_parts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        check_parts(value.get("messages"))
        # A client that rules out calls asks for no tools.
        return {**value, "tools": None} if value.get("tool_choice") == "none" else value

    @model_validator(mode="after")
    def _sample_several_answers(self) -> Self:
        if self.n is not None and self.n > 1 and not self.temperature:
            reason = (
                f"n={self.n} is not supported without sampling: all answers would be the same. Set temperature above 0."
            )
            raise PydanticCustomError("unsupported_parameter", "{reason}", {"reason": reason, "name": "n"})
        return self

    @property
    def thinks(self) -> bool:
        """Whether the model is asked to think, by any of the names for it."""
        options, thinking = self.chat_template_kwargs or TemplateOptions(), self.thinking
        if isinstance(thinking, Thinking):
            thinking = thinking.type == "enabled"
        named = (self.enable_thinking, self.think, thinking, options.enable_thinking, options.thinking)
        return any(bool(one) for one in named)

    def images(self) -> list[ImageReference]:
        """Return the references of all images, in the order in which the model reads them."""
        return [image for message in self.messages for image in message.images()]

    def to_request(self, model: str, addresses: Sequence[str]) -> Request:
        """Return the request that is queued; `addresses`: one for each of `images()`. Raises InvalidRequestError."""
        limit = min(self.max_completion_tokens or self.max_tokens or DEFAULT_CHAT_TOKENS, MAX_TOKENS)
        given = {name: value for name in Sampling.model_fields if (value := getattr(self, name)) is not None}
        rest = iter(addresses)
        if self.tools and isinstance(self.response_format, VocabularyFormat):
            raise InvalidRequestError("Tools cannot be combined with a vocabulary. Leave one of them out.")
        try:
            return Request(
                model=model,
                messages=[message.to_message(rest) for message in self.messages],
                sampling=Sampling(**{**given, "max_tokens": limit}),
                response_format=self.response_format,
                tools=tools_of(self.tools, self.tool_choice, parallel=self.parallel_tool_calls),
                thinking=self.thinks,
                choices=self.n or 1,
                cache=self.cache is not False,
                max_pixels=None if self.max_pixels is None else min(max(self.max_pixels, LEAST_PIXELS), MOST_PIXELS),
            )
        except ValidationError as error:
            raise InvalidRequestError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None


class ChatCompletionBody(CompletionBody):
    """The body of `POST /v1/chat/completions`."""

    stream: bool | None = Field(default=None, description="Send the answer token by token, as server-sent events")
    stream_options: StreamOptions | None = None


class JobBody(CompletionBody):
    """A chat completion to be answered later."""

    lane: Literal["interactive", "bulk"] = Field(default="bulk", description="interactive: ahead of all bulk work")
    priority: Priority = Field(default=0, description="Of a list in the bulk lane: ahead of runs with a lower number")
    webhook: str | None = Field(default=None, max_length=2048, description="URL that is sent the job when it has ended")
