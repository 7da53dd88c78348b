"""Errors of results on their way out: text files and webhooks."""

from __future__ import annotations

from jobs.errors.base import CaptionqError


class OutputError(CaptionqError):
    """The result could not be written."""

    code = "output_error"
    transient = True


class OutputOccupiedError(OutputError):
    """The path of the text file is taken by something that is not a text."""

    code = "output_occupied"
    status = 409
    transient = False


class NotEmbeddableError(OutputOccupiedError):
    """No caption can be written into the image file."""


class OutputForbiddenError(OutputError):
    """The text file may not be written: its folder or disk is read-only."""

    code = "output_forbidden"
    status = 403
    transient = False


class OutputDiskFullError(OutputError):
    """The disk of the text file is full."""

    code = "output_disk_full"
    status = 507


class OutputChangedError(OutputError):
    """The text file was written or changed after the job was queued."""

    code = "output_changed"
    status = 409
    transient = False


class WebhookError(CaptionqError):
    """The webhook could not be delivered."""

    code = "webhook_failed"
    transient = True


class WebhookGoneError(WebhookError):
    """The receiver wants no more webhooks."""

    transient = False


class MissingToolError(OutputError):
    """A program or a package that an output needs is not installed."""

    code = "missing_tool"
    status = 501
    transient = False
