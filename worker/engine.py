"""Continuous batching: admit → step → admit → step. Knows rows and tokens, and nothing of Redis or SQL."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field

from jobs.errors import CaptionqError, EngineError
from worker.backends import Backend, Prepared, Token

logger = logging.getLogger("captionq.engine")


@dataclass(frozen=True)
class Finished:
    """A row that has ended: with its answer, or with an error."""

    key: str
    text: str = ""
    #: The generated ids, without the stop token.
    token_ids: tuple[int, ...] = ()
    #: `stop` or `length`.
    finish_reason: str = "stop"
    #: Ids of the prompt, image tokens included.
    prompt_tokens: int = 0
    image_tokens: int = 0
    #: Generated ids, without the stop token.
    completion_tokens: int = 0
    #: From the admission to the first token, in seconds. The other rows decode meanwhile.
    prefill_seconds: float = 0.0
    #: From the first token to the last.
    decode_seconds: float = 0.0
    error: CaptionqError | None = None


@dataclass
class _Row:
    key: str
    prepared: Prepared
    uid: int = -1
    ids: list[int] = field(default_factory=list)
    admitted: float = field(default_factory=time.perf_counter)
    first_token: float | None = None


class Engine:
    """A batch of up to `slots` rows on one backend."""

    def __init__(self, backend: Backend, slots: int = 16) -> None:
        self._backend = backend
        self._slots = slots
        #: Admitted, not yet handed to the generator: it prefills the shortest first, and a long prompt would wait for ever.
        self._waiting: deque[_Row] = deque()
        self._running: dict[int, _Row] = {}
        #: Rows of a batch that broke, each to be run by itself.
        self._alone: deque[_Row] = deque()
        backend.restart(slots)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._waiting or self._running or self._alone)

    @property
    def free(self) -> int:
        """How many rows may be admitted now."""
        return self._slots - len(self._waiting) - len(self._running) - len(self._alone)

    def admit(self, key: str, prepared: Prepared) -> None:
        """Let a row join the batch in the next steps."""
        self._waiting.append(_Row(key, prepared))

    def step(self) -> list[Finished]:
        """Prefill the next row, decode the others by one token, and return those that have ended."""
        failed = self._insert()
        try:
            tokens = self._backend.next()
        except Exception as error:
            return failed + self._break_up(error)
        return failed + [ended for token in tokens if (ended := self._advance(token)) is not None]

    def cancel(self, key: str) -> bool:
        """Drop a row, also in the middle of its answer. False: there is none of this key."""
        for uid, row in self._running.items():
            if row.key == key:
                self._backend.remove(uid)
                del self._running[uid]
                return True
        for rows in (self._waiting, self._alone):
            for row in rows:
                if row.key == key:
                    rows.remove(row)
                    return True
        return False

    def close(self) -> None:
        """Drop all rows and what the generator holds."""
        self._waiting.clear()
        self._running.clear()
        self._alone.clear()
        self._backend.close()

    def _insert(self) -> list[Finished]:
        """Hand the generator the next row when it is ready for one. Returns the row if the model cannot embed it."""
        source = self._alone or self._waiting
        if not source or self._backend.prefilling() or (self._alone and self._running):
            return []
        row = source.popleft()
        try:
            row.uid = self._backend.insert(row.prepared)
        except Exception as error:
            logger.exception("%s could not be prefilled.", row.key)
            return [_failed(row, error)]
        self._running[row.uid] = row
        return []

    def _advance(self, token: Token) -> Finished | None:
        row = self._running[token.uid]
        now = time.perf_counter()
        row.first_token = row.first_token or now
        if token.finish_reason != "stop":
            row.ids.append(token.id)
        if token.finish_reason is None:
            return None
        del self._running[token.uid]
        return Finished(
            key=row.key,
            text=self._backend.text(row.ids),
            token_ids=tuple(row.ids),
            finish_reason=token.finish_reason,
            prompt_tokens=len(row.prepared.ids),
            image_tokens=row.prepared.image_tokens,
            completion_tokens=len(row.ids),
            prefill_seconds=row.first_token - row.admitted,
            decode_seconds=now - row.first_token,
        )

    def _break_up(self, error: Exception) -> list[Finished]:
        """A step failed: its caches are half a token ahead, and nothing says whose fault it was.

        Every row begins anew, by itself. The culprit fails alone then; the others give what they would have given, because
        an answer depends on nothing but its own prompt, seed and sampling.
        """
        logger.exception("A step of %d rows failed; they are run one at a time.", len(self._running))
        rows = list(self._running.values())
        self._running.clear()
        self._backend.restart(self._slots)
        if len(rows) == 1:
            return [_failed(rows[0], error)]
        for row in rows:
            row.ids.clear()
            row.first_token = None
        self._alone.extend(rows)
        return []


def _failed(row: _Row, error: Exception) -> Finished:
    if isinstance(error, CaptionqError):
        return Finished(row.key, error=error)
    return Finished(row.key, error=EngineError(f"Generation failed: {type(error).__name__}: {error}"))
