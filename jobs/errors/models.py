"""Errors of models, and of the engine that runs them."""

from __future__ import annotations

from jobs.errors.base import CaptionqError


class ModelError(CaptionqError):
    """The model cannot be used."""

    code = "model_error"
    status = 400


class ModelNotFoundError(ModelError):
    """The model does not exist."""

    code = "model_not_found"
    status = 404


class ModelUnavailableError(ModelError):
    """The model could not be downloaded or loaded at the moment. Try again later."""

    code = "model_unavailable"
    status = 503
    transient = True


class DownloadInterruptedError(ModelUnavailableError):
    """The process that downloaded the model has ended, or its worker. Ask again: the download goes on where it stopped."""

    code = "download_interrupted"


class ModelTooLargeError(ModelError):
    """The model does not fit into memory."""

    code = "model_too_large"


class AdapterError(ModelError):
    """The adapter cannot be put on the model."""

    code = "adapter_error"


class ImagesNotSupportedError(ModelError):
    """The model is text-only and cannot look at images."""

    code = "images_not_supported"


class EngineError(CaptionqError):
    """Generation failed."""

    code = "engine_error"
    transient = True


class OutOfMemoryError(EngineError):
    """There is too little memory for this request."""

    code = "out_of_memory"


class AnswerError(CaptionqError):
    """The model gave no usable answer."""

    code = "no_answer"


class InvalidJSONAnswerError(AnswerError):
    """The answer is not the JSON that was asked for."""

    code = "invalid_json_answer"


class OnlyThoughtsError(AnswerError):
    """The model was still thinking when its answer ended."""

    code = "only_thoughts"


class PoisonError(CaptionqError):
    """The job was given up: the worker died each time that it ran the job."""

    code = "poison"
