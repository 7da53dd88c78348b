"""Ollama's objects: answers, models and errors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class OllamaError(BaseModel):
    """An error: a sentence."""

    error: str


class OllamaStatistics(BaseModel):
    """The end of an answer. Durations are in nanoseconds; numbers are absent if nothing was asked."""

    model: str
    created_at: str
    done: bool
    done_reason: Literal["stop", "length", "load", "unload"]
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = Field(default=None, description="Tokens of the prompt, images included")
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaAnswerMessage(BaseModel):
    """The message that answers."""

    role: Literal["assistant"] = "assistant"
    content: str
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class OllamaChatAnswer(OllamaStatistics):
    """The answer of `POST /api/chat`."""

    message: OllamaAnswerMessage


class OllamaGenerateAnswer(OllamaStatistics):
    """The answer of `POST /api/generate`."""

    response: str
    thinking: str | None = None


class OllamaDetails(BaseModel):
    """The kind of a model."""

    parent_model: str = ""
    format: str = "safetensors"
    family: str
    families: list[str]
    parameter_size: str = ""
    quantization_level: str


class OllamaModel(BaseModel):
    """A model of this server."""

    name: str
    model: str
    modified_at: str
    size: int = Field(description="Bytes of the weights; 0: not downloaded yet")
    digest: str
    details: OllamaDetails


class OllamaModelList(BaseModel):
    """All models of this server."""

    models: list[OllamaModel]


class OllamaLoadedModel(OllamaModel):
    """A model in memory."""

    expires_at: str
    size_vram: int
    context_length: int


class OllamaLoadedList(BaseModel):
    """The models in memory."""

    models: list[OllamaLoadedModel]


class OllamaModelCard(BaseModel):
    """One model's abilities."""

    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    modified_at: str
    details: OllamaDetails
    model_info: dict[str, Any]
    capabilities: list[str]


class OllamaVersion(BaseModel):
    """A version of Ollama's API."""

    version: str


class OllamaStatus(BaseModel):
    """The state of a download."""

    status: str
