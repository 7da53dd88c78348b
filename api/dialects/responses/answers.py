"""OpenAI's form of a growing response: events of the response, of its items and of their texts."""

from __future__ import annotations

from typing import Any

from api.dialects.responses.items import (
    call_item,
    message_item,
    output_of,
    response_of,
    status_of,
    text_part,
    thoughts_item,
)
from api.errors.body import detail_of
from api.schemas.dialects.response_object import ResponseError
from api.streaming.growing_answer import Piece
from api.streaming.sse import HEARTBEAT_COMMENT, event_bytes
from jobs.errors import CaptionqError
from jobs.store.answers import answers_of
from jobs.store.response_rows import StoredResponse
from jobs.store.tables import Job
from jobs.tools import ToolCall, call_id


class OpenAIResponse:
    """OpenAI's `response`, and its stream of events.

    An event's `sequence_number` counts events and characters: it is the same however the text is cut into pieces, so a client
    can resume a stream after any event.
    """

    media_type = "text/event-stream"
    heartbeat = HEARTBEAT_COMMENT

    def __init__(self, job: Job, stored: StoredResponse, *, after: int = -1) -> None:
        """Prepare the form; `after`: the number of the last event that the client has had."""
        self._job = job
        self._stored = stored
        self._after = after
        self._next = 0
        #: The numbers of the items that have begun: the message's, and the thoughts'.
        self._message: int | None = None
        self._thoughts: int | None = None
        #: The items of the calls that have begun, without their arguments, by their numbers among the items.
        self._calls: dict[int, dict[str, Any]] = {}

    def body(self, job: Job) -> str:
        """Return the response."""
        return response_of(job, self._stored).model_dump_json()

    def begin(self) -> list[bytes]:
        """Return the events before the first item."""
        response = response_of(self._job, self._stored, status="in_progress").model_dump()
        return [
            *self._event("response.created", response=response),
            *self._event("response.in_progress", response=response),
        ]

    def piece(self, piece: Piece) -> list[bytes]:
        """Return the event with the new text, thoughts or arguments of a call, after those that begin its item."""
        if piece.kind == "call":
            return self._begin_call(piece) if piece.name is not None else self._add_arguments(piece)
        begun = self._begin_message()
        if piece.kind == "text":
            place: dict[str, Any] = {"item_id": self._message_id, "output_index": self._message, "content_index": 0}
            return [*begun, *self._delta("response.output_text.delta", place, piece.text, logprobs=piece.logprobs)]
        begun += self._begin_thoughts()
        place = {"item_id": self._thoughts_id, "output_index": self._thoughts, "content_index": 0}
        return [*begun, *self._delta("response.reasoning_text.delta", place, piece.text)]

    def end(self, job: Job) -> list[bytes]:
        """Return the events that end each item, and the whole response."""
        events = [] if self._calls else self._begin_message()
        if self._thoughts is not None:
            events += self._end_thoughts(job)
        if self._message is not None:
            events += self._end_message(job)
        events += self._end_calls(job)
        response = response_of(job, self._stored).model_dump()
        return [*events, *self._event(f"response.{status_of(job)}", response=response)]

    def failure(self, error: CaptionqError) -> bytes:
        """Return the event of a response that failed."""
        detail = detail_of(error)
        response = response_of(self._job, self._stored, status="failed").model_dump()
        response["error"] = ResponseError(code=detail.code or "server_error", message=detail.message).model_dump()
        return b"".join(self._event("response.failed", response=response))

    @property
    def _items(self) -> int:
        """The number of items that have begun, which is the number of the next one."""
        return len(self._calls) + (self._message is not None) + (self._thoughts is not None)

    @property
    def _message_id(self) -> str:
        return str(message_item(self._job, None, "", [])["id"])

    @property
    def _thoughts_id(self) -> str:
        return str(thoughts_item(self._job, None)["id"])

    def _begin_message(self) -> list[bytes]:
        if self._message is not None:
            return []
        # Also before thoughts: the message is the first item.
        self._message = self._items
        item = message_item(self._job, None, "in_progress", [])
        place: dict[str, Any] = {"item_id": item["id"], "output_index": self._message, "content_index": 0}
        return [
            *self._event("response.output_item.added", output_index=self._message, item=item),
            *self._event("response.content_part.added", **place, part=text_part("", [])),
        ]

    def _begin_thoughts(self) -> list[bytes]:
        if self._thoughts is not None:
            return []
        self._thoughts = self._items
        item = thoughts_item(self._job, None)
        part = {"type": "reasoning_text", "text": ""}
        place: dict[str, Any] = {"item_id": item["id"], "output_index": self._thoughts, "content_index": 0}
        return [
            *self._event("response.output_item.added", output_index=self._thoughts, item=item),
            *self._event("response.content_part.added", **place, part=part),
        ]

    def _begin_call(self, piece: Piece) -> list[bytes]:
        call = ToolCall(id=call_id(self._job.id, piece.call), name=piece.name or "", arguments="")
        index, item = self._items, call_item(call, "in_progress")
        self._calls[index] = item
        return self._event("response.output_item.added", output_index=index, item=item)

    def _add_arguments(self, piece: Piece) -> list[bytes]:
        index, item = list(self._calls.items())[-1]
        place = {"item_id": item["id"], "output_index": index}
        return self._delta("response.function_call_arguments.delta", place, piece.text)

    def _end_calls(self, job: Job) -> list[bytes]:
        events: list[bytes] = []
        items = [item for item in output_of(job) if item["type"] == "function_call"]
        for index, item in zip(self._calls, items, strict=False):
            place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
            told = {"name": item["name"], "arguments": item["arguments"]}
            events += self._event("response.function_call_arguments.done", **place, **told)
            events += self._event("response.output_item.done", output_index=index, item=item)
        return events

    def _end_thoughts(self, job: Job) -> list[bytes]:
        text = job.reasoning or ""
        place: dict[str, Any] = {"item_id": self._thoughts_id, "output_index": self._thoughts, "content_index": 0}
        item = thoughts_item(job, text)
        return [
            *self._event("response.reasoning_text.done", **place, text=text),
            *self._event("response.content_part.done", **place, part=item["content"][0]),
            *self._event("response.output_item.done", output_index=self._thoughts, item=item),
        ]

    def _end_message(self, job: Job) -> list[bytes]:
        text, logprobs = job.text or "", answers_of(job)[0].logprobs or []
        place: dict[str, Any] = {"item_id": self._message_id, "output_index": self._message, "content_index": 0}
        status = "incomplete" if job.finish_reason == "length" else "completed"
        item = message_item(job, text, status, logprobs)
        return [
            *self._event("response.output_text.done", **place, text=text, logprobs=logprobs),
            *self._event("response.content_part.done", **place, part=item["content"][0]),
            *self._event("response.output_item.done", output_index=self._message, item=item),
        ]

    def _delta(self, kind: str, place: dict[str, Any], text: str, **more: Any) -> list[bytes]:
        """Return the event of new text, without the characters that the client has had."""
        known = min(max(self._after + 1 - self._next, 0), len(text))
        self._next += known
        if known == len(text) and text:
            return []
        return self._event(kind, size=max(len(text) - known, 1), **place, delta=text[known:], **more)

    def _event(self, kind: str, *, size: int = 1, **data: Any) -> list[bytes]:
        """Return the event, unless the client has had it; `size`: the characters of its text."""
        self._next += size
        number = self._next - 1
        if number <= self._after:
            return []
        return [event_bytes({"type": kind, **data, "sequence_number": number}, event=kind)]
