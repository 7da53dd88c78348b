"""Anthropic's objects: messages and errors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class AnthropicErrorDetail(BaseModel):
    """A description of the error."""

    type: str
    message: str


class AnthropicError(BaseModel):
    """An error in Anthropic's shape."""

    type: Literal["error"] = "error"
    error: AnthropicErrorDetail


class AnthropicUsage(BaseModel):
    """Token usage. Image tokens are part of the input tokens."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class AnthropicAnswer(BaseModel):
    """Anthropic's `message`."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, Any]] = Field(description="Blocks: text, thinking and tool_use")
    stop_reason: Literal["end_turn", "max_tokens", "tool_use"] | None
    stop_sequence: None = Field(
        default=None, description="Always null: an answer that a stop sequence ended is an end_turn"
    )
    usage: AnthropicUsage


class AnthropicTokenCount(BaseModel):
    """The tokens of a prompt."""

    input_tokens: int
