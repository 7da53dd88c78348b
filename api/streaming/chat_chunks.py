"""The chunks of one streamed chat completion, also when its job is attempted again."""

from __future__ import annotations

from typing import Any

from api.schemas.chat_response import COMPLETION_PREFIX, logprobs_of, usage_of
from jobs.errors import CaptionqError
from jobs.models.model_info import public_name
from jobs.store.tables import Job


class DivergedError(CaptionqError):
    """The worker restarted, and its second answer differs from the text already sent. Ask again, or set a seed."""

    code = "restarted"
    status = 502


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
        self._sent = ""
        self._sent_logprobs = 0
        #: The text of the running attempt so far.
        self._text = ""
        self._logprobs: list[Any] = []
        self._attempt = 0
        #: Whether a part of this attempt's text was lost: the rest comes with the row.
        self._has_gap = False

    @property
    def has_text(self) -> bool:
        return bool(self._sent)

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
        if attempt > self._attempt:
            # The text is the same again, unless it is sampled without a seed.
            self._attempt, self._text, self._logprobs, self._has_gap = attempt, "", [], False
        if attempt < self._attempt or self._has_gap or at < len(self._text):
            # Events may come twice.
            return None
        if at > len(self._text):
            self._has_gap = True
            return None
        self._text += text
        self._logprobs += logprobs or []
        return self._new()

    def rest(self, job: Job) -> list[dict[str, Any]]:
        """Return the chunks that are left when the job has its answer. Raises DivergedError."""
        self._text = job.text or ""
        if not self._text.startswith(self._sent):
            raise DivergedError
        self._logprobs = logprobs_of(job)
        chunks = [new] if (new := self._new()) is not None else []
        chunks.append(self._chunk({}, finish_reason=job.finish_reason))
        if self._with_usage:
            chunks.append({**self._head, "choices": [], "usage": usage_of(job).model_dump()})
        return chunks

    def _new(self) -> dict[str, Any] | None:
        shorter = min(len(self._text), len(self._sent))
        if self._text[:shorter] != self._sent[:shorter]:
            raise DivergedError
        new, logprobs = self._text[len(self._sent) :], self._logprobs[self._sent_logprobs :]
        if not new and not (logprobs and self._text == self._sent):
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
