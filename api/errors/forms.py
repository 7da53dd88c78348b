"""The forms of an error body: a client gets the form of the dialect whose path it called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.errors.body import ErrorDetail

#: A function from a detail to the body.
ErrorForm = Callable[[ErrorDetail], dict[str, Any]]


def openai_error(detail: ErrorDetail) -> dict[str, Any]:
    """Return OpenAI's body of an error."""
    return {"error": detail.model_dump()}


def anthropic_error(detail: ErrorDetail) -> dict[str, Any]:
    """Return Anthropic's body of an error. Its names of the kinds are nearly OpenAI's."""
    kind = "api_error" if detail.type == "server_error" else detail.type
    return {"type": "error", "error": {"type": kind, "message": detail.message}}


def ollama_error(detail: ErrorDetail) -> dict[str, Any]:
    """Return Ollama's body of an error: a sentence."""
    return {"error": detail.message}


#: The beginning of a path → the form of its errors; the first that fits counts. All other paths have OpenAI's.
_FORMS: dict[str, ErrorForm] = {
    # LM Studio's paths.
    "/api/v0/": openai_error,
    "/api/": ollama_error,
    "/v1/messages": anthropic_error,
}


def form_of(path: str) -> ErrorForm:
    """Return the form of errors for a request to this path."""
    return next((form for beginning, form in _FORMS.items() if path.startswith(beginning)), openai_error)
