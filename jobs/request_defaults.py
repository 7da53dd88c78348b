"""Defaults and limits of requests, which the command line shows."""

from __future__ import annotations

#: Maximum number of tokens of one answer: a longer answer would keep a slot busy for hours. The worker
#: also checks the model's own context.
MAX_TOKENS = 32_768

#: Maximum number of answers to one request.
MAX_CHOICES = 8

#: Maximum number of tokens of an answer that does not say: of a caption, and of a chat completion.
DEFAULT_MAX_TOKENS = 256
DEFAULT_CHAT_TOKENS = 1024

#: Maximum number of frames of a video, or pages of a document, in one request.
MAX_FRAMES = 32
