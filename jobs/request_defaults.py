"""Limits that the command line shows and the requests enforce."""

from __future__ import annotations

#: Maximum number of tokens of one answer: a longer answer would keep a slot busy for hours. The worker
#: also checks the model's own context.
MAX_TOKENS = 32_768

#: Maximum number of answers to one request.
MAX_CHOICES = 8

#: Maximum number of frames of a video, or pages of a document, in one request.
MAX_FRAMES = 32
