"""Chat completions in OpenAI's form: the completion, or its chunks."""

from __future__ import annotations

from typing import Any

from api.errors.body import detail_of
from api.errors.forms import openai_error
from api.schemas.chat.chat_response import COMPLETION_PREFIX, completion_of, finish_reason_of, usage_of
from api.streaming.growing_answer import Piece
from api.streaming.sse import HEARTBEAT_COMMENT, event_bytes
from jobs.errors import CaptionqError
from jobs.models.model_info import public_name
from jobs.store.answers import answers_of
from jobs.store.tables import Job
from jobs.tools import MAX_CALLS, call_id


class OpenAIChat:
    """OpenAI's `chat.completion`, and its `chat.completion.chunk` events."""

    media_type = "text/event-stream"
    heartbeat = HEARTBEAT_COMMENT

    def __init__(self, job: Job, *, with_usage: bool = False) -> None:
        """Prepare the form; `with_usage`: an event with the usage ends the stream."""
        self._head = {
            "id": COMPLETION_PREFIX + job.id,
            "object": "chat.completion.chunk",
            "created": int(job.created_at),
            "model": public_name(job.model),
        }
        self._job_id = job.id
        self._choices = job.parsed_request().choices
        self._with_usage = with_usage

    def body(self, job: Job) -> str:
        """Return the completion."""
        return completion_of(job).model_dump_json()

    def begin(self) -> list[bytes]:
        """Return a chunk with the role for each answer."""
        role = {"role": "assistant", "content": "", "refusal": None}
        return [self._chunk(role, choice=number) for number in range(self._choices)]

    def piece(self, piece: Piece) -> list[bytes]:
        """Return the chunk with the new text, thoughts, or part of a call."""
        if piece.kind == "call":
            return [self._chunk({"tool_calls": [self._call(piece)]}, choice=piece.choice)]
        name = "content" if piece.kind == "text" else "reasoning_content"
        return [self._chunk({name: piece.text}, choice=piece.choice, logprobs=piece.logprobs)]

    def end(self, job: Job) -> list[bytes]:
        """Return a chunk with the finish reason for each answer, the usage if it is asked for, and the mark of the end."""
        events = [
            self._chunk({}, choice=answer.number, finish_reason=finish_reason_of(answer)) for answer in answers_of(job)
        ]
        if self._with_usage:
            events.append(event_bytes({**self._head, "choices": [], "usage": usage_of(job).model_dump()}))
        return [*events, event_bytes("[DONE]")]

    def failure(self, error: CaptionqError) -> bytes:
        """Return the event of an error."""
        return event_bytes(openai_error(detail_of(error)))

    def _call(self, piece: Piece) -> dict[str, Any]:
        if piece.name is None:
            return {"index": piece.call, "function": {"arguments": piece.text}}
        function = {"name": piece.name, "arguments": ""}
        number = call_id(self._job_id, piece.choice * MAX_CALLS + piece.call)
        return {"index": piece.call, "id": number, "type": "function", "function": function}

    def _chunk(
        self,
        delta: dict[str, Any],
        *,
        choice: int = 0,
        finish_reason: str | None = None,
        logprobs: list[Any] | None = None,
    ) -> bytes:
        body = {
            "index": choice,
            "delta": delta,
            "finish_reason": finish_reason,
            "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
        }
        return event_bytes({**self._head, "choices": [body], **({"usage": None} if self._with_usage else {})})
