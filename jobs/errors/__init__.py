"""The errors of captionq: one root, and what each edge needs to translate it.

A class's docstring is its default message. `code` is stable and for programs (OpenAI's word where it has one), `status` is
the HTTP status, and `transient` says whether the same work may succeed when it is tried again.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import ClassVar


class CaptionqError(Exception):
    """Something went wrong in captionq."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    transient: ClassVar[bool] = False
    #: Seconds until it may be worth trying again, where that is known.
    retry_after: float | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)

    @property
    def message(self) -> str:
        return str(self.args[0])


def in_words(error: BaseException) -> str:
    """What an error says, never nothing: one of ours its message, any other its kind and its words, or else its place."""
    if isinstance(error, CaptionqError):
        return error.message
    kind, said = type(error).__name__, str(error).strip()
    if said:
        return f"{kind}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} in {frames[-1].name} of {Path(frames[-1].filename).name}" if frames else kind


# -- what was asked -----------------------------------------------------------------------------


class InvalidRequestError(CaptionqError):
    """The request is not valid."""

    code = "invalid_request_error"
    status = 400


class UnsupportedParameterError(InvalidRequestError):
    """A parameter of the request is not supported."""

    code = "unsupported_parameter"


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


class NotFoundError(CaptionqError):
    """There is no such job, batch or file."""

    code = "not_found"
    status = 404


class ConflictError(CaptionqError):
    """The job's state does not allow this."""

    code = "conflict"
    status = 409


class IdempotencyError(CaptionqError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    status = 409


class RateLimitError(CaptionqError):
    """There is no room for this just now."""

    code = "rate_limit_exceeded"
    status = 429
    transient = True

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LaneFullError(RateLimitError):
    """Too many jobs wait."""

    code = "queue_full"


class TooManyStreamsError(RateLimitError):
    """Too many streams are open."""

    code = "too_many_streams"


class BodyTooLargeError(InvalidRequestError):
    """The body of the request is too large."""

    code = "request_too_large"
    status = 413


class BodyTimeoutError(InvalidRequestError):
    """The body of the request stopped coming."""

    code = "request_timeout"
    status = 408


class DeadlineError(CaptionqError):
    """The answer takes longer than a request may."""

    code = "deadline_exceeded"
    status = 504


class LeavingError(CaptionqError):
    """The server ends before there is an answer. The job goes on when it is back."""

    code = "server_stopping"
    status = 503


class AuthenticationError(CaptionqError):
    """A valid API key is needed."""

    code = "invalid_api_key"
    status = 401


class ForbiddenError(CaptionqError):
    """This may not be done."""

    code = "forbidden"
    status = 403


# -- images: every one of them ends its own job and no other --------------------------------------


class ImageError(InvalidRequestError):
    """The image cannot be used."""

    code = "image_parse_error"


class ImageNotFoundError(ImageError):
    """The image file does not exist."""

    code = "image_file_not_found"


class EmptyImageError(ImageError):
    """The image file is empty."""

    code = "empty_image_file"


class ImageTooLargeError(ImageError):
    """The image is too large."""

    code = "image_too_large"


class ImageTooSlowError(ImageError):
    """The image takes too long to decode."""

    code = "image_too_slow"


class UnsupportedImageError(ImageError):
    """The file is no image of a known format."""

    code = "unsupported_image_media_type"


class ImageForbiddenError(ImageError):
    """The image may not be read."""

    code = "image_file_forbidden"
    status = 403


class InvalidImageURLError(ImageError):
    """The image reference is not valid."""

    code = "invalid_image_url"


class InvalidBase64ImageError(ImageError):
    """The image data is not valid base64."""

    code = "invalid_base64_image"


class ImageDownloadError(ImageError):
    """The image could not be fetched."""

    code = "failed_to_download_image"


class ImageUnavailableError(ImageDownloadError):
    """The image could not be fetched just now."""

    transient = True


class AddressForbiddenError(InvalidRequestError):
    """This address may not be contacted."""

    code = "address_forbidden"
    status = 403


# -- models -------------------------------------------------------------------------------------


class ModelError(CaptionqError):
    """The model cannot be used."""

    code = "model_error"
    status = 400


class ModelNotFoundError(ModelError):
    """There is no such model."""

    code = "model_not_found"
    status = 404


class ModelUnavailableError(ModelError):
    """The model could not be fetched or loaded just now."""

    code = "model_unavailable"
    status = 503
    transient = True


class ModelTooLargeError(ModelError):
    """The model does not fit into the memory."""

    code = "model_too_large"


class ImagesNotSupportedError(ModelError):
    """The model is text-only and cannot look at images."""

    code = "images_not_supported"


# -- the machinery --------------------------------------------------------------------------------


class SettingsError(CaptionqError):
    """A setting is not valid."""

    code = "invalid_settings"


class DataFolderError(CaptionqError):
    """The data folder cannot be used."""

    code = "data_folder_unusable"


class DatabaseError(CaptionqError):
    """The database cannot be used."""

    code = "database_unavailable"
    status = 503
    transient = True


class BrokerError(CaptionqError):
    """The queue's server (Redis or Valkey) cannot be reached."""

    code = "broker_unavailable"
    status = 503
    transient = True


class WorkerError(CaptionqError):
    """The worker cannot run."""

    code = "worker_unavailable"
    status = 503


class AlreadyRunningError(WorkerError):
    """A worker runs for this data folder already."""

    code = "worker_already_running"
    status = 409


class EngineError(CaptionqError):
    """Generation failed."""

    code = "engine_error"
    transient = True


class OutOfMemoryError(EngineError):
    """There is too little memory for this request."""

    code = "out_of_memory"


class PoisonError(CaptionqError):
    """The job killed its worker again and again, and was given up."""

    code = "poison"


class OutputError(CaptionqError):
    """The result could not be written."""

    code = "output_error"
    transient = True


class OutputOccupiedError(OutputError):
    """Something that is not a text is where the text's file should be."""

    code = "output_occupied"
    status = 409
    transient = False


class OutputChangedError(OutputError):
    """The text's file was written or changed after the job was queued."""

    code = "output_changed"
    status = 409
    transient = False


class WebhookError(CaptionqError):
    """The message could not be delivered."""

    code = "webhook_failed"
    transient = True


class WebhookGoneError(WebhookError):
    """The receiver wants no more messages."""

    transient = False


class BenchmarkError(CaptionqError):
    """The benchmark could not be run to its end."""

    code = "benchmark_failed"


# -- errors of others ---------------------------------------------------------------------------
