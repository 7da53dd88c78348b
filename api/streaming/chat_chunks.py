"""The chunks of one streamed chat completion, also when its job is attempted again."""

from __future__ import annotations

from typing import Any

from api.schemas.chat_response import COMPLETION_PREFIX, logprobs_of, usage_of
from jobs.models.model_info import public_name
from jobs.queue.growing_text import GrowingText
from jobs.store.tables import Job


class Chunks:
    """The chunks of one streamed completion. Text that was sent is never taken back, also when the job is attempted again."""

    def __init__(self, job: Job, *, with_usage: bool) -> None:
        self._head = {
            "id": COMPLETION_PREFIX + job.id,
            "object": "chat.completion.chunk",
            "created": int(job.created_at),
            "model": public_name(job.model),
        }
        self._with_usage = with_usage
        self._thoughts = GrowingText()
        self._text = GrowingText()
        self._sent_logprobs = 0
        self._logprobs: list[Any] = []

    @property
    def has_text(self) -> bool:
        return bool(self._text.sent or self._thoughts.sent)

    def first(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def tokens(self, text: str, at: int, attempt: int, logprobs: list[Any] | None = None) -> dict[str, Any] | None:
        """Return the chunk with the text that is new to the client; None: no text is new.

        Args:
            text: a piece of the attempt's text.
            at: number of the attempt's characters before this piece.
            attempt: number of the attempt, from 1.
            logprobs: OpenAI's entries for the tokens of this piece.

        Raises:
            DivergedError: the attempt's text is not the text that was sent.
        """
        if attempt > self._text.attempt:
            self._logprobs = []
        if not self._text.add(text, at, attempt):
            return None
        self._logprobs += logprobs or []
        return self._new()

    def thoughts(self, text: str, at: int, attempt: int) -> dict[str, Any] | None:
        """Return the chunk with the thoughts that are new to the client; None: none are. See `tokens`."""
        return self._new_thoughts() if self._thoughts.add(text, at, attempt) else None

    def rest(self, job: Job) -> list[dict[str, Any]]:
        """Return the chunks that are left when the job has its answer. Raises DivergedError."""
        self._thoughts.complete(job.reasoning or "")
        self._text.complete(job.text or "")
        self._logprobs = logprobs_of(job)
        chunks = [new for new in (self._new_thoughts(), self._new()) if new is not None]
        chunks.append(self._chunk({}, finish_reason=job.finish_reason))
        if self._with_usage:
            chunks.append({**self._head, "choices": [], "usage": usage_of(job).model_dump()})
        return chunks

    def _new(self) -> dict[str, Any] | None:
        new, logprobs = self._text.take(), self._logprobs[self._sent_logprobs :]
        if not new and not (logprobs and self._text.is_sent):
            return None
        self._sent_logprobs += len(logprobs)
        return self._chunk({"content": new}, logprobs=logprobs)

    def _new_thoughts(self) -> dict[str, Any] | None:
        new = self._thoughts.take()
        return self._chunk({"reasoning_content": new}) if new else None

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
