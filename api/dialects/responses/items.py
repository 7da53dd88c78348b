"""The items of a response: its output, made from its job's row, and its input."""

from __future__ import annotations

import json
from typing import Any, Literal

from api.dialects.responses.stored import response_id
from api.errors.body import detail_of
from api.errors.translation import stored_error
from api.schemas.chat.chat_response import has_answer
from api.schemas.dialects.response_object import ResponseError, ResponseObject, ResponseUsage
from jobs.models.model_info import public_name
from jobs.requests import ImagePart, Message
from jobs.store.answers import answers_of
from jobs.store.response_rows import StoredResponse
from jobs.store.tables import Job, JobStatus
from jobs.tools import ToolCall

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
_STATUSES: dict[str, Status] = {
    JobStatus.QUEUED: "queued",
    JobStatus.RUNNING: "in_progress",
    JobStatus.CANCELLED: "cancelled",
}


def status_of(job: Job) -> Status:
    """Return the status of a response by its job's row."""
    if has_answer(job):
        return "incomplete" if job.finish_reason == "length" else "completed"
    return _STATUSES.get(job.status, "failed")


def response_of(job: Job, stored: StoredResponse, *, status: Status | None = None) -> ResponseObject:
    """Return the response of a job; `status`: another than the row says, for events of a growing response."""
    shown = status or status_of(job)
    ended = shown in ("completed", "incomplete")
    asked = json.loads(stored.asked)
    return ResponseObject(
        id=response_id(job.id),
        created_at=int(job.created_at),
        completed_at=int(job.finished_at) if ended and job.finished_at is not None else None,
        status=shown,
        background=bool(asked.get("background")),
        error=_error_of(job) if shown == "failed" else None,
        incomplete_details={"reason": "max_output_tokens"} if shown == "incomplete" else None,
        instructions=asked.get("instructions"),
        max_output_tokens=asked.get("max_output_tokens"),
        model=public_name(job.model),
        output=output_of(job) if ended else [],
        parallel_tool_calls=asked.get("parallel_tool_calls", True),
        previous_response_id=asked.get("previous_response_id"),
        reasoning=_reasoning(asked.get("reasoning")),
        service_tier="default",
        store=asked.get("store", True),
        temperature=asked.get("temperature", 0.0),
        text={"format": asked.get("format", {"type": "text"})},
        tool_choice=asked.get("tool_choice") or "auto",
        tools=asked.get("tools", []),
        top_logprobs=asked.get("top_logprobs", 0),
        top_p=asked.get("top_p", 1.0),
        truncation=str(asked.get("truncation", "disabled")),
        usage=_usage_of(job) if ended else None,
        user=asked.get("user"),
        metadata=asked.get("metadata", {}),
    )


def output_of(job: Job) -> list[dict[str, Any]]:
    """Return the output items of a job that has an answer. The message comes first: some clients read the first text.

    An answer that consists of calls has no message.
    """
    status = "incomplete" if job.finish_reason == "length" else "completed"
    calls = [call_item(call, status) for call in answers_of(job)[0].calls]
    if calls and not job.text and not job.reasoning:
        return calls
    message = message_item(job, job.text or "", status, answers_of(job)[0].logprobs or [])
    return [message, *([thoughts_item(job, job.reasoning)] if job.reasoning else []), *calls]


def message_item(job: Job, text: str | None, status: str, logprobs: list[Any]) -> dict[str, Any]:
    """Return the message; `text` None: its content has not begun."""
    content = [] if text is None else [text_part(text, logprobs)]
    return {
        "id": f"msg_{_number(job)}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def text_part(text: str, logprobs: list[Any]) -> dict[str, Any]:
    """Return the part of a message that is its text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def thoughts_item(job: Job, text: str | None) -> dict[str, Any]:
    """Return the item of a reasoning model's thoughts; `text` None: they have not begun."""
    content = [] if text is None else [{"type": "reasoning_text", "text": text}]
    return {"id": f"rs_{_number(job)}", "type": "reasoning", "summary": [], "content": content}


def call_item(call: ToolCall, status: str) -> dict[str, Any]:
    """Return the item of a call."""
    return {
        "id": f"fc_{call.id.removeprefix('call_')}",
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }


def input_items(job: Job, stored: StoredResponse) -> list[dict[str, Any]]:
    """Return the items that this response was sent, in their order. Images are told without their data, as OpenAI does."""
    messages = job.parsed_request().messages[stored.first_message :]
    return [item for at, message in enumerate(messages) for item in _items_of(f"{_number(job)}_{at}", message)]


def _items_of(number: str, message: Message) -> list[dict[str, Any]]:
    """Return the items that became this message; `number` makes their ids."""
    calls = [call_item(call, "completed") for call in message.tool_calls]
    if message.role == "tool":
        output = _content(message)
        id_ = f"fco_{number}"
        return [{"id": id_, "type": "function_call_output", "call_id": message.tool_call_id, "output": output}]
    if calls and not message.content:
        return calls
    text = {"id": f"msg_{number}", "type": "message", "role": message.role, "status": "completed"}
    return [{**text, "content": _content(message)}, *calls]


def _content(message: Message) -> list[dict[str, Any]]:
    kind = "output_text" if message.role == "assistant" else "input_text"
    parts = message.content if isinstance(message.content, list) else None
    if parts is None:
        return [{"type": kind, "text": message.content}]
    return [
        {"type": "input_image", "detail": part.image_url.detail, "image_url": None, "file_id": None}
        if isinstance(part, ImagePart)
        else {"type": kind, "text": part.text}
        for part in parts
    ]


def _number(job: Job) -> str:
    return job.id.removeprefix("job_")


def _error_of(job: Job) -> ResponseError:
    detail = detail_of(stored_error(job.error_code, job.error_message))
    return ResponseError(code=detail.code or "server_error", message=detail.message)


def _reasoning(asked: object) -> dict[str, Any]:
    given = asked if isinstance(asked, dict) else {}
    words = {name: given.get(name) for name in ("effort", "summary")}
    return {name: value if isinstance(value, str) else None for name, value in words.items()}


def _usage_of(job: Job) -> ResponseUsage:
    prompt, answer = job.prompt_tokens or 0, job.completion_tokens or 0
    return ResponseUsage(
        input_tokens=prompt,
        input_tokens_details={"cached_tokens": 0, "image_tokens": job.image_tokens or 0},
        output_tokens=answer,
        output_tokens_details={"reasoning_tokens": 0},
        total_tokens=prompt + answer,
    )
