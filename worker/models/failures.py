"""Exceptions of a library or a device in captionq's own words."""

from __future__ import annotations

import re

from jobs.errors import CaptionqError, EngineError, OutOfMemoryError, in_words

#: Words with which mlx and Metal report too little memory.
_MEMORY = re.compile(r"alloc|insufficient memory|out ?of ?memory", re.IGNORECASE)


def as_captionq_error(error: Exception) -> CaptionqError:
    """Return a CaptionqError unchanged; turn any other exception into an OutOfMemoryError or an EngineError."""
    if isinstance(error, CaptionqError):
        return error
    if is_about_memory(error):
        return OutOfMemoryError(f"There is too little memory for this request: {in_words(error)}")
    return EngineError(f"Generation failed: {in_words(error)}")


def is_about_memory(error: Exception) -> bool:
    """Whether the error reports too little memory: at another time there may be enough."""
    return isinstance(error, MemoryError) or _MEMORY.search(str(error)) is not None
