"""Chat completions on the wire: OpenAI's objects, made of a job's row."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel

from jobs.errors import CaptionqError
from jobs.models.model_info import public_name
from jobs.store.tables import Job

#: Before a job's id: the id of its completion.
PREFIX = "chatcmpl-"


class DivergedError(CaptionqError):
    """The worker had to begin anew, and its second answer is another one. Ask again, or give a seed."""

    code = "restarted"
    status = 502


class Usage(BaseModel):
    """Tokens, counted from ids; those of images are among those of the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Logprobs(BaseModel):
    content: list[dict[str, Any]]
    refusal: None = None


class Choice(BaseModel):
    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: Logprobs | None = None


class ChatCompletion(BaseModel):
    """OpenAI's `chat.completion`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


def completion_of(job: Job) -> ChatCompletion:
    """Of a job that has succeeded."""
    assert job.text is not None
    logprobs = None if job.logprobs is None else Logprobs(content=json.loads(job.logprobs))
    choice = Choice.model_validate(
        {"message": AnswerMessage(content=job.text), "finish_reason": job.finish_reason, "logprobs": logprobs}
    )
    return ChatCompletion(
        id=PREFIX + job.id,
        created=int(job.created_at),
        model=public_name(job.model),
        choices=[choice],
        usage=usage_of(job),
    )


def usage_of(job: Job) -> Usage:
    """Of a job that has succeeded."""
    prompt, answer = job.prompt_tokens or 0, job.completion_tokens or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=prompt + answer,
        prompt_tokens_details={"image_tokens": job.image_tokens or 0},
    )


class Chunks:
    """The chunks of one streamed completion: what was sent stays true, also when a job begins anew."""

    def __init__(self, job: Job, *, with_usage: bool) -> None:
        self._head = {
            "id": PREFIX + job.id,
            "object": "chat.completion.chunk",
            "created": int(job.created_at),
            "model": public_name(job.model),
        }
        self._with_usage = with_usage
        self._sent = ""
        self._sent_logprobs = 0
        #: What the running attempt has said so far.
        self._said = ""
        self._said_logprobs: list[Any] = []
        self._attempt = 0
        #: Whether a part of what this attempt has said was lost: the rest comes with the row.
        self._has_gap = False

    @property
    def said_something(self) -> bool:
        return bool(self._sent)

    def first(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def tokens(self, text: str, at: int, attempt: int, logprobs: list[Any] | None = None) -> dict[str, Any] | None:
        """The chunk of what is new; `at`: characters that this attempt had said before. Raises DivergedError when it is not
        what was sent."""
        if attempt > self._attempt:
            # It says the same again, unless it is sampled without a seed.
            self._attempt, self._said, self._said_logprobs, self._has_gap = attempt, "", [], False
        if attempt < self._attempt or self._has_gap or at < len(self._said):
            # Events may come twice.
            return None
        if at > len(self._said):
            self._has_gap = True
            return None
        self._said += text
        self._said_logprobs += logprobs or []
        return self._new()

    def rest(self, job: Job) -> list[dict[str, Any]]:
        """What is left when the job has succeeded. Raises DivergedError when its text is not what was sent."""
        self._said = job.text or ""
        if not self._said.startswith(self._sent):
            raise DivergedError
        self._said_logprobs = json.loads(job.logprobs) if job.logprobs else []
        chunks = [new] if (new := self._new()) is not None else []
        chunks.append(self._chunk({}, finish_reason=job.finish_reason))
        if self._with_usage:
            chunks.append({**self._head, "choices": [], "usage": usage_of(job).model_dump()})
        return chunks

    def _new(self) -> dict[str, Any] | None:
        shorter = min(len(self._said), len(self._sent))
        if self._said[:shorter] != self._sent[:shorter]:
            raise DivergedError
        new, logprobs = self._said[len(self._sent) :], self._said_logprobs[self._sent_logprobs :]
        if not new and not (logprobs and self._said == self._sent):
            return None
        self._sent += new
        self._sent_logprobs += len(logprobs)
        return self._chunk({"content": new}, logprobs=logprobs)

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, logprobs: list[Any] | None = None
    ) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": delta,
            "finish_reason": finish_reason,
            "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        }
        return {**self._head, "choices": [choice], **({"usage": None} if self._with_usage else {})}
