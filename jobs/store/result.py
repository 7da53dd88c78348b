"""The result of a job as its row stores it: the answer, and the change of the job's text file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """Result of a generation: the text, its usage in tokens and its timings in seconds."""

    text: str
    #: `stop` or `length`.
    finish_reason: str
    prompt_tokens: int
    #: Part of `prompt_tokens`.
    image_tokens: int
    completion_tokens: int
    preprocess_seconds: float
    prefill_seconds: float
    decode_seconds: float
    #: A flaw of the text (`empty`, `repetition`, `cut_off`, `refusal`), else of its image (`truncated_image`); None: none.
    quality: str | None = None
    #: The thoughts that came before the text; None: there were none.
    reasoning: str | None = None
    #: The calls of functions: `[{"name", "arguments"}, …]`. The row holds them as JSON.
    tool_calls: list[dict[str, str]] | None = None
    #: The answers after the first, each with the fields of `jobs.store.answers.Answer`. The tokens are those of all answers.
    choices: list[dict[str, Any]] | None = None
    #: In OpenAI's shape: `[{"token", "logprob", "bytes", "top_logprobs": […]}, …]`. The row holds them as JSON.
    logprobs: list[dict[str, Any]] | None = None
    #: The key of the question in the result cache (`worker/pipeline/answer_cache.py`); None: it is not cached.
    cache_key: str | None = None
    #: Whether the answer is that of an earlier job, with that job's usage.
    cached: bool = False


@dataclass(frozen=True)
class FileChange:
    """The change of a text file that a job is about to make."""

    #: SHA-256 of the file's content now; None: there is no file.
    output_before: str | None
    #: SHA-256 of its new content.
    output_after: str | None
    #: The new text, if it is not the answer.
    output_text: str | None
    #: The content before the job's first attempt.
    previous_text: bytes | None
