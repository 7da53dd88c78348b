"""Continuous batching: admit → step → admit → step. Knows rows and tokens, and nothing of Redis or SQL."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field

from jobs.errors import CaptionqError, EngineError
from worker.backends import Backend, Prepared, Token

logger = logging.getLogger("captionq.engine")

#: Tokens that a row of a broken batch decodes by itself before it may join the others again. The broken step was computing the
#: second one after those that had come out; the third shows that it is behind.
PROBATION = 3


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
    #: What has come out so far, without the stop token.
    ids: list[int] = field(default_factory=list)
    #: How often a batch broke with this row in it.
    faults: int = 0
    #: Whether it has to run by itself, and until it has how many ids.
    alone: bool = False
    alone_until: int = 0
    admitted: float = field(default_factory=time.perf_counter)
    first_token: float | None = None


class Engine:
    """A batch of up to `slots` rows on one backend."""

    def __init__(self, backend: Backend, slots: int = 16) -> None:
        self._backend = backend
        self._slots = slots
        #: Admitted, not yet handed to the generator: it prefills the shortest first, and a long prompt would wait for ever.
        self._waiting: deque[_Row] = deque()
        #: By the generator's uid.
        self._running: dict[int, _Row] = {}
        backend.restart(slots)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._waiting or self._running)

    @property
    def free(self) -> int:
        """How many rows may be admitted now."""
        return self._slots - len(self._waiting) - len(self._running)

    def admit(self, key: str, prepared: Prepared) -> None:
        """Let a row join the batch in the next steps."""
        self._waiting.append(_Row(key, prepared))

    def step(self) -> list[Finished]:
        """Prefill the next row, decode the others by one token, and return those that have ended."""
        failed = self._insert()
        if not self._running:
            return failed
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
        for row in self._waiting:
            if row.key == key:
                self._waiting.remove(row)
                return True
        return False

    def close(self) -> None:
        """Drop all rows and what the generator holds."""
        self._waiting.clear()
        self._running.clear()
        self._backend.close()

    def _insert(self) -> list[Finished]:
        """Hand the generator the next row when it is ready for one. Returns the row if the model cannot embed it."""
        if not self._waiting or self._backend.prefilling():
            return []
        if self._running and (self._waiting[0].alone or any(row.alone for row in self._running.values())):
            return []
        row = self._waiting.popleft()
        try:
            uid = self._backend.insert(row.prepared, row.ids)
        except Exception as error:
            logger.exception("%s could not be prefilled.", row.key)
            return [_failed(row, error)]
        self._running[uid] = row
        return []

    def _advance(self, token: Token) -> Finished | None:
        row = self._running[token.uid]
        now = time.perf_counter()
        row.first_token = row.first_token or now
        if token.finish_reason != "stop":
            row.ids.append(token.id)
        if token.finish_reason is None:
            if row.alone and len(row.ids) >= row.alone_until:
                self._release(token.uid)
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
        """A step failed: tokens that were on their way are lost, caches are ahead of them, and nobody knows whose fault it was.

        The generator begins anew, and each row takes up its answer, first by itself: the culprit fails alone, the others have
        shown that it was not them. A row of a batch that broke again goes to its end by itself.
        """
        logger.exception("A step of %d rows failed; they are taken up one at a time.", len(self._running))
        rows = list(self._running.values())
        self._running.clear()
        self._backend.restart(self._slots)
        if len(rows) == 1:
            return [_failed(rows[0], error)]
        for row in rows:
            row.faults += 1
            row.alone = True
            row.alone_until = len(row.ids) + PROBATION if row.faults == 1 else row.prepared.sampling.max_tokens
        self._waiting.extendleft(reversed(rows))
        return []

    def _release(self, uid: int) -> None:
        """A row has shown by itself that it is sound: it joins the others again when all of them have."""
        row = self._running.pop(uid)
        self._backend.remove(uid)
        row.alone = False
        self._waiting.append(row)


def _failed(row: _Row, error: Exception) -> Finished:
    if isinstance(error, CaptionqError):
        return Finished(row.key, error=error)
    return Finished(row.key, error=EngineError(f"Generation failed: {type(error).__name__}: {error}"))
