"""The root of all errors, and the text of errors that other libraries raise."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import ClassVar


class CaptionqError(Exception):
    """Something went wrong in captionq."""

    #: Stable, for programs; OpenAI's code if there is one.
    code: ClassVar[str] = "internal_error"
    #: The HTTP status.
    status: ClassVar[int] = 500
    #: Whether the same work may succeed when it is tried again.
    transient: ClassVar[bool] = False
    #: Seconds until another try may succeed, if that is known.
    retry_after: float | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)

    @property
    def message(self) -> str:
        return str(self.args[0])


def in_words(error: BaseException) -> str:
    """Describe any error, never by an empty text.

    A CaptionqError gives its message; any other error its class and its message or, without a message, the place that raised it.
    """
    if isinstance(error, CaptionqError):
        return error.message
    kind, said = type(error).__name__, str(error).strip()
    if said:
        return f"{kind}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{kind} in {frames[-1].name} of {Path(frames[-1].filename).name}" if frames else kind


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, at most 300 characters. The path in an OSError's message is left out."""
    said = getattr(error, "strerror", None) or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0][:300]
