"""Chat completions on the wire: OpenAI's objects, made from a job's row."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas.chat.chat_tools import AnswerToolCall, answer_calls
from jobs.errors import InvalidJSONAnswerError
from jobs.models.model_info import public_name
from jobs.store.answers import Answer, answers_of
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
    content: str | None = Field(description="The text; null: the answer consists of calls")
    reasoning_content: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The thoughts of a reasoning model; absent if there are none",
    )
    tool_calls: list[AnswerToolCall] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The calls of functions; absent: there are none",
    )
    refusal: None = None


class Logprobs(BaseModel):
    """Log-probabilities in OpenAI's shape."""

    content: list[dict[str, Any]] = Field(description="An entry for each token: token, logprob, bytes and top_logprobs")
    refusal: None = None


class Choice(BaseModel):
    """An answer: a completion has as many as `n` asked for."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls"] = Field(
        description="length: max_tokens was reached; tool_calls: the answer calls functions"
    )
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
    return ChatCompletion(
        id=COMPLETION_PREFIX + job.id,
        created=int(job.created_at),
        model=public_name(job.model),
        choices=[_choice_of(answer) for answer in answers_of(job)],
        usage=usage_of(job),
        cached=job.cached,
    )


def _choice_of(answer: Answer) -> Choice:
    calls = answer_calls(answer.calls)
    message = AnswerMessage(
        content=None if calls and not answer.text else answer.text,
        reasoning_content=answer.reasoning,
        tool_calls=calls or None,
    )
    return Choice.model_validate(
        {
            "index": answer.number,
            "message": message,
            "finish_reason": finish_reason_of(answer),
            "logprobs": None if answer.logprobs is None else Logprobs(content=answer.logprobs),
        }
    )


def finish_reason_of(answer: Answer) -> str | None:
    """Return the finish reason of an answer, as OpenAI names it."""
    return "tool_calls" if answer.tool_calls and answer.finish_reason == "stop" else answer.finish_reason


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
