"""Chat completions on the wire: OpenAI's objects, made from a job's row."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field

from jobs.errors import InvalidJSONAnswerError
from jobs.models.model_info import public_name
from jobs.store.tables import Job, JobStatus

#: The id of a completion is this and the id of its job.
COMPLETION_PREFIX = "chatcmpl-"


class Usage(BaseModel):
    """Token usage. Image tokens are part of the prompt tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class AnswerMessage(BaseModel):
    """The message that answers."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The thoughts of a reasoning model; absent if there are none",
    )
    refusal: None = None


class Logprobs(BaseModel):
    """Log-probabilities in OpenAI's shape."""

    content: list[dict[str, Any]] = Field(description="An entry for each token: token, logprob, bytes and top_logprobs")
    refusal: None = None


class Choice(BaseModel):
    """The answer: a completion has exactly one choice."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"] = Field(description="length: max_tokens was reached")
    logprobs: Logprobs | None = None


class ChatCompletion(BaseModel):
    """OpenAI's `chat.completion`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    cached: bool = Field(
        default=False,
        exclude_if=lambda value: not value,
        description="Whether the answer is an earlier one to the same question, with its usage; absent if it is new",
    )


def has_answer(job: Job) -> bool:
    """Whether the job has an answer for a chat completion.

    JSON that was cut off is a failed job, but as in OpenAI's API an answer, with the finish reason `length`.
    """
    return job.status == JobStatus.SUCCEEDED or job.error_code == InvalidJSONAnswerError.code


def completion_of(job: Job) -> ChatCompletion:
    """Return the completion of a job that has an answer."""
    assert job.text is not None
    logprobs = None if job.logprobs is None else Logprobs(content=logprobs_of(job))
    message = AnswerMessage(content=job.text, reasoning_content=job.reasoning)
    choice = Choice.model_validate({"message": message, "finish_reason": job.finish_reason, "logprobs": logprobs})
    return ChatCompletion(
        id=COMPLETION_PREFIX + job.id,
        created=int(job.created_at),
        model=public_name(job.model),
        choices=[choice],
        usage=usage_of(job),
        cached=job.cached,
    )


def usage_of(job: Job) -> Usage:
    """Return the usage of a job that has an answer."""
    prompt, answer = job.prompt_tokens or 0, job.completion_tokens or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=prompt + answer,
        prompt_tokens_details={
            "image_tokens": job.image_tokens or 0,
            # An earlier answer was given again: nothing was computed for the prompt.
            **({"cached_tokens": prompt} if job.cached else {}),
        },
    )


def logprobs_of(job: Job) -> list[dict[str, Any]]:
    """Load the log-probabilities of a row: the only place in the API that reads their JSON."""
    return json.loads(job.logprobs) if job.logprobs else []
