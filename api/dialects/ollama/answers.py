"""Ollama's answers: one object, or a line of JSON for each piece of text and a last one with the statistics."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from api.errors.body import detail_of
from api.errors.forms import ollama_error
from api.schemas.chat.chat_tools import arguments_of
from api.streaming.growing_answer import Piece
from jobs.errors import CaptionqError
from jobs.models.model_info import public_name
from jobs.store.answers import answers_of
from jobs.store.tables import Job

NDJSON = "application/x-ndjson"
#: Nanoseconds of a second.
_NANO = 1_000_000_000


def line(data: object) -> bytes:
    """Format one message of a stream."""
    return _compact(data).encode() + b"\n"


def time_words(seconds: float) -> str:
    """Return seconds since the epoch as Ollama writes a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class OllamaAnswer:
    """The form that the answers of `/api/chat` and `/api/generate` share."""

    media_type = NDJSON
    heartbeat = b""

    def __init__(self, job: Job, *, name: str | None = None, only_loads: bool = False) -> None:
        """Prepare the form.

        Args:
            name: the model's name as the client gave it.
            only_loads: the client asked nothing, so the job's answer is not for it.
        """
        self._only_loads = only_loads
        self._head = {"model": name or public_name(job.model), "created_at": time_words(job.created_at)}

    def body(self, job: Job) -> str:
        """Return the answer as one object."""
        if self._only_loads:
            return _compact(self._object("") | self._end(job))
        thoughts = {"thinking": job.reasoning} if job.reasoning else {}
        return _compact(self._object(job.text or "", **thoughts, **_calls(job)) | self._end(job))

    def begin(self) -> list[bytes]:
        """Return nothing: the first line has text."""
        return []

    def piece(self, piece: Piece) -> list[bytes]:
        """Return the line with the new text or thoughts."""
        if self._only_loads or piece.kind == "call":
            # Ollama's calls are sent whole.
            return []
        new = self._object(piece.text) if piece.kind == "text" else self._object("", thinking=piece.text)
        return [line({**new, "done": False})]

    def end(self, job: Job) -> list[bytes]:
        """Return the line with the calls, if there are any, and the line with the reason of the end and the statistics."""
        calls = {} if self._only_loads else _calls(job)
        called = [line({**self._object("", **calls), "done": False})] if calls else []
        return [*called, line(self._object("") | self._end(job))]

    def failure(self, error: CaptionqError) -> bytes:
        """Return the line of an error."""
        return line(ollama_error(detail_of(error)))

    @staticmethod
    def words(text: str, **more: Any) -> dict[str, Any]:
        """Return the field that holds a text, and thoughts or calls beside it."""
        raise NotImplementedError

    @classmethod
    def unloaded(cls, name: str) -> bytes:
        """Return the one line for a client that asks to unload a model. The model stays: the settings decide for all clients."""
        head = {"model": name, "created_at": time_words(time.time())}
        return line({**head, **cls.words(""), "done": True, "done_reason": "unload"})

    def _object(self, text: str, **more: Any) -> dict[str, Any]:
        return {**self._head, **self.words(text, **more)}

    def _end(self, job: Job) -> dict[str, Any]:
        if self._only_loads:
            return {"done": True, "done_reason": "load"}
        begun = (job.queue_seconds or 0.0) + (job.preprocess_seconds or 0.0)
        return {
            "done": True,
            "done_reason": job.finish_reason or "stop",
            "total_duration": _nanoseconds(max(0.0, (job.finished_at or job.created_at) - job.created_at)),
            "load_duration": _nanoseconds(begun),
            "prompt_eval_count": job.prompt_tokens or 0,
            "prompt_eval_duration": _nanoseconds(job.prefill_seconds),
            "eval_count": job.completion_tokens or 0,
            "eval_duration": _nanoseconds(job.decode_seconds),
        }


class OllamaChat(OllamaAnswer):
    """The form of `/api/chat`: a message."""

    @staticmethod
    def words(text: str, **more: Any) -> dict[str, Any]:
        """Return the message."""
        return {"message": {"role": "assistant", "content": text, **more}}


class OllamaGenerate(OllamaAnswer):
    """The form of `/api/generate`: a text."""

    @staticmethod
    def words(text: str, **more: Any) -> dict[str, Any]:
        """Return the text."""
        return {"response": text, **more}


def _calls(job: Job) -> dict[str, Any]:
    calls = [{"function": {"name": call.name, "arguments": arguments_of(call)}} for call in answers_of(job)[0].calls]
    return {"tool_calls": calls} if calls else {}


def _nanoseconds(seconds: float | None) -> int:
    return int((seconds or 0.0) * _NANO)


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))
