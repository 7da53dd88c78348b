"""Errors of requests: invalid, too large, too many, not allowed, too late."""

from __future__ import annotations

from jobs.errors.base import CaptionqError


class InvalidRequestError(CaptionqError):
    """The request is not valid."""

    code = "invalid_request_error"
    status = 400


class UnknownParameterError(InvalidRequestError):
    """The request has a parameter that this server does not have."""

    code = "unknown_parameter"

    def __init__(self, message: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class TooManyImagesError(InvalidRequestError):
    """The request has too many images."""

    code = "too_many_images"


class ContextLengthError(InvalidRequestError):
    """The prompt and the answer do not fit into the model's context."""

    code = "context_length_exceeded"


class ArchiveError(InvalidRequestError):
    """The zip cannot be used."""

    code = "invalid_archive"


class UploadTooLargeError(InvalidRequestError):
    """The upload is too large."""

    code = "upload_too_large"
    status = 413


class BodyTooLargeError(InvalidRequestError):
    """The request's body is too large."""

    code = "request_too_large"
    status = 413


class BodyTimeoutError(InvalidRequestError):
    """The client stopped sending before the request's body was complete."""

    code = "request_timeout"
    status = 408


class AddressForbiddenError(InvalidRequestError):
    """Requests to this address are not allowed."""

    code = "address_forbidden"
    status = 403


class AuthenticationError(CaptionqError):
    """A valid API key is needed."""

    code = "invalid_api_key"
    status = 401


class ForbiddenError(CaptionqError):
    """This is not allowed."""

    code = "forbidden"
    status = 403


class AdminRequiredError(ForbiddenError):
    """This API key has no admin right. Name it in CAPTIONQ_ADMIN_KEYS."""

    code = "admin_required"


class NotFoundError(CaptionqError):
    """The job, batch or file does not exist."""

    code = "not_found"
    status = 404


class ConflictError(CaptionqError):
    """The job's state does not allow this."""

    code = "conflict"
    status = 409


class IdempotencyError(CaptionqError):
    """This Idempotency-Key was used for another request. Use a new key for each request."""

    code = "idempotency_key_reused"
    status = 409


class RateLimitError(CaptionqError):
    """Too many requests at the moment. Try again later."""

    code = "rate_limit_exceeded"
    status = 429
    transient = True

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LaneFullError(RateLimitError):
    """Too many jobs are waiting. Try again later."""

    code = "queue_full"


class TooManyStreamsError(RateLimitError):
    """Too many streams are open. Close one, or try again later."""

    code = "too_many_streams"


class TooManyDownloadsError(RateLimitError):
    """Too many downloads wait or run. Wait for one to end, or cancel one."""

    code = "too_many_downloads"


class DeadlineError(CaptionqError):
    """The answer takes longer than a synchronous request may. Poll the job instead."""

    code = "deadline_exceeded"
    status = 504


class LeavingError(CaptionqError):
    """The server is shutting down. The job resumes after the restart."""

    code = "server_stopping"
    status = 503
