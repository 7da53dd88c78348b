"""Anthropic's answers: the message, or the events of its blocks as they grow."""

from __future__ import annotations

import json
from typing import Any, Literal

from api.errors.body import detail_of
from api.errors.forms import anthropic_error
from api.schemas.chat.chat_response import finish_reason_of
from api.schemas.chat.chat_tools import arguments_of
from api.schemas.dialects.anthropic_answers import AnthropicAnswer, AnthropicUsage
from api.streaming.growing_answer import Piece
from api.streaming.sse import event_bytes
from jobs.errors import CaptionqError
from jobs.models.model_info import public_name
from jobs.store.answers import answers_of
from jobs.store.tables import Job
from jobs.tools import call_id

Reason = Literal["end_turn", "max_tokens", "tool_use"]
#: OpenAI's reason of an answer's end → Anthropic's word.
_REASONS: dict[str | None, Reason] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def message_of(job: Job, *, with_thoughts: bool = False) -> AnthropicAnswer:
    """Return the message of a job that has an answer; `with_thoughts`: a block of the model's thoughts comes first."""
    thoughts = [{"type": "thinking", "thinking": job.reasoning, "signature": ""}]
    calls = [_call_block(call.id, call.name, arguments_of(call)) for call in answers_of(job)[0].calls]
    text = [{"type": "text", "text": job.text or ""}] if job.text or not calls else []
    return AnthropicAnswer(
        id=_message_id(job),
        model=public_name(job.model),
        content=[*(thoughts if with_thoughts and job.reasoning else []), *text, *calls],
        stop_reason=_reason(job),
        usage=_usage(job),
    )


class AnthropicMessages:
    """Anthropic's `message`, and its stream of events."""

    media_type = "text/event-stream"
    heartbeat = event_bytes({"type": "ping"}, event="ping")

    def __init__(self, job: Job, *, with_thoughts: bool) -> None:
        """Prepare the form; `with_thoughts`: the client asked for the model's thoughts."""
        self._job_id = job.id
        self._with_thoughts = with_thoughts
        self._start = {
            **AnthropicAnswer(
                id=_message_id(job),
                model=public_name(job.model),
                content=[],
                stop_reason=None,
                usage=AnthropicUsage(input_tokens=0, output_tokens=0),
            ).model_dump()
        }
        #: The number of the open block, and its kind; None: no block is open.
        self._block = -1
        self._kind: str | None = None

    def body(self, job: Job) -> str:
        """Return the message."""
        return message_of(job, with_thoughts=self._with_thoughts).model_dump_json()

    def begin(self) -> list[bytes]:
        """Return the event with the empty message. The tokens of its prompt are told at the end."""
        return [_event("message_start", message=self._start), self.heartbeat]

    def piece(self, piece: Piece) -> list[bytes]:
        """Return the event with the new text, thoughts or arguments of a call, and those around its block."""
        if piece.kind == "call":
            if piece.name is not None:
                block = _call_block(call_id(self._job_id, piece.call), piece.name, {})
                return self._opened(f"call {piece.call}", block)
            return [self._delta({"type": "input_json_delta", "partial_json": piece.text})]
        if piece.kind == "thoughts":
            if not self._with_thoughts:
                return []
            opened = self._opened("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            return [*opened, self._delta({"type": "thinking_delta", "thinking": piece.text})]
        opened = self._opened("text", {"type": "text", "text": ""})
        return [*opened, self._delta({"type": "text_delta", "text": piece.text})]

    def end(self, job: Job) -> list[bytes]:
        """Return the end of the last block, the reason of the end with the usage, and the end of the message."""
        opened = self._opened("text", {"type": "text", "text": ""}) if self._kind is None else []
        delta = {"stop_reason": _reason(job), "stop_sequence": None}
        last = [
            _event("message_delta", delta=delta, usage=_usage(job).model_dump()),
            _event("message_stop"),
        ]
        return [*opened, *self._closed(), *last]

    def failure(self, error: CaptionqError) -> bytes:
        """Return the event of an error."""
        return event_bytes(anthropic_error(detail_of(error)), event="error")

    def _opened(self, kind: str, block: dict[str, Any]) -> list[bytes]:
        """Return the events that make a block of this kind the open one."""
        if self._kind == kind:
            return []
        closed = self._closed()
        self._block += 1
        self._kind = kind
        return [*closed, _event("content_block_start", index=self._block, content_block=block)]

    def _closed(self) -> list[bytes]:
        if self._kind is None:
            return []
        self._kind = None
        return [_event("content_block_stop", index=self._block)]

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._block, delta=delta)


class AnthropicCount(AnthropicMessages):
    """The number of tokens of a prompt, as the worker counted them."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, with_thoughts=False)

    def body(self, job: Job) -> str:
        """Return the number."""
        return json.dumps({"input_tokens": job.prompt_tokens or 0})


def _message_id(job: Job) -> str:
    return f"msg_{job.id.removeprefix('job_')}"


def _call_block(id_: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def _reason(job: Job) -> Reason:
    return _REASONS.get(finish_reason_of(answers_of(job)[0]), "end_turn")


def _usage(job: Job) -> AnthropicUsage:
    return AnthropicUsage(input_tokens=job.prompt_tokens or 0, output_tokens=job.completion_tokens or 0)


def _event(kind: str, **data: Any) -> bytes:
    return event_bytes({"type": kind, **data}, event=kind)
