"""The body of every error: OpenAI's shape."""

from __future__ import annotations

from pydantic import BaseModel, Field

from jobs.errors import (
    CaptionqError,
    DeadlineError,
    DownloadInterruptedError,
    LeavingError,
    ModelUnavailableError,
    WorkerError,
)

#: 5xx errors whose messages were written for clients.
_PUBLIC_SERVER_ERRORS = (DeadlineError, DownloadInterruptedError, LeavingError, ModelUnavailableError, WorkerError)


class ErrorDetail(BaseModel):
    """A description of the error."""

    message: str = Field(description="A sentence for people")
    type: str = Field(description="The kind of error, by its status")
    param: str | None = Field(description="The parameter that is wrong, for example messages.0.content")
    code: str | None = Field(description="A stable word for programs")


class ErrorBody(BaseModel):
    """An error in OpenAI's shape."""

    error: ErrorDetail


def error_detail(code: str, status: int, message: str, param: str | None = None) -> ErrorDetail:
    """Return the detail of an error with OpenAI's type for this status."""
    return ErrorDetail(message=message, type=_type_of(status), param=param, code=code)


def detail_of(error: CaptionqError) -> ErrorDetail:
    """Return the detail that clients may see. Messages of internal errors may hold paths: they are for the log only."""
    is_internal = error.status >= 500 and type(error) not in _PUBLIC_SERVER_ERRORS
    message = (type(error).__doc__ or "").splitlines()[0] if is_internal else error.message
    return error_detail(error.code, error.status, message, getattr(error, "param", None))


def _type_of(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 404:
            return "not_found_error"
        case 429:
            return "rate_limit_error"
        case _:
            return "server_error" if status >= 500 else "invalid_request_error"
