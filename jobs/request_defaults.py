"""Defaults and limits that the command line shows and the requests enforce: presets, and the longest answer."""

from __future__ import annotations

from jobs.errors import InvalidRequestError

#: Maximum number of tokens of one answer: a longer answer would keep a slot busy for hours. The worker
#: also checks the model's own context.
MAX_TOKENS = 32_768

#: Maximum number of frames of a video, or pages of a document, in one request.
MAX_FRAMES = 32

DEFAULT_PRESET = "describe"

PRESETS = {
    "describe": "Describe this image.",
    "short": "Write a short caption.",
    "detailed": "Describe this image in detail.",
    "alt-text": (
        "Write alt text for this image: one plain sentence of at most 125 characters that tells somebody who cannot see it "
        "what it shows. Answer with the alt text alone."
    ),
    "tags": "List keywords for this image.",
}


def preset(name: str) -> str:
    """Return the prompt of a preset. Raises InvalidRequestError."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InvalidRequestError(f"Unknown preset '{name}'. Available: {', '.join(PRESETS)}.") from None
