"""Continuous batching: admit → take in → decode → collect. Knows rows and tokens, and nothing of Redis or SQL."""

from __future__ import annotations

import logging
import time

from worker.engine.answer_quality import judge
from worker.engine.decode_batch import DecodeBatch, Joining
from worker.engine.finished import EndedSequence, failed
from worker.engine.prefill_group import PrefillContext, PrefillGroup
from worker.engine.scheduler import WaitingQueue
from worker.engine.sequences import LiveSequence, TextDelta
from worker.models.backends import Backend
from worker.models.detokenizer import TextStream
from worker.models.inputs import Prepared
from worker.sampling.logprobs import as_json
from worker.sampling.tokens import Token

logger = logging.getLogger("captionq.engine")

#: Tokens that a row of a broken batch decodes by itself before it may join the others again. The broken step was computing the
#: second one after those that had come out; the third shows that it is behind.
PROBATION = 3
#: Rows that are taken in together, where the model allows it. More gain little: the passes are as wide as the device by then.
GROUP = 8
#: For so many slots there is one more, for those whom somebody waits for.
SLOTS_A_RESERVE = 16


class Engine:
    """A batch of up to `slots` rows on one backend."""

    def __init__(self, backend: Backend, slots: int = 32, group: int = GROUP) -> None:
        self.backend = backend
        self.slots = slots
        self._reserve = slots // SLOTS_A_RESERVE
        self._group = min(group, backend.group, max(1, slots // 2))
        self._context = PrefillContext(backend)
        self._waiting = WaitingQueue(self._group, self._context.memory)
        self._intakes: list[PrefillGroup] = []
        self._batch = DecodeBatch(backend.language_model)
        self._running: dict[str, LiveSequence] = {}
        #: Rows that ended between two steps, because a cancelled one broke the batch as it left.
        self._ended_early: list[EndedSequence] = []
        #: Seconds that are to be spent on decoding before bulk work is taken in again.
        self._owed = 0.0

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(len(self._waiting) or self._intakes or self._running or self._ended_early)

    @property
    def working(self) -> bool:
        """Whether a step has something for the device to do: rows may also wait for others to go in with."""
        return bool(self._intakes or self._running)

    @property
    def bulk_waits(self) -> bool:
        """Whether rows that nobody waits for are on their way into the batch."""
        return self._waiting.has_bulk or any(not intake.urgent for intake in self._intakes)

    @property
    def free(self) -> int:
        """How many rows may be admitted now: enough that the next group stands ready when there is room for it."""
        return self.slots + self._group - len(self._waiting) - len(self._taken)

    @property
    def rows(self) -> int:
        """How many rows decode."""
        return len(self._running)

    def admit(self, key: str, prepared: Prepared, *, urgent: bool = False, followed: bool = False) -> None:
        """Let a row join the batch in the next steps; an urgent one goes ahead of all others. `followed`: `said` tells of it."""
        stop = prepared.sampling.stop
        stream = TextStream(self.backend.tokenizer, stop) if stop or followed else None
        self._waiting.add(LiveSequence(key, prepared, urgent, stream=stream, followed=followed))

    def step(self, *, coming: bool = False) -> list[EndedSequence]:
        """Take in a little of what waits, or decode all rows by one token; return those that have ended.

        Rows that nobody waits for decode when the batch is as full as it gets: a step takes hardly longer for many than for
        few. With an urgent row among them both is done in turn. `coming`: more rows will be admitted soon, and a group may
        wait to be full.
        """
        ended, self._ended_early = self._ended_early, []
        intake = self._next_intake(coming)
        ended += self._take_in(intake) if intake is not None else []
        somebody_waited = self._somebody_waits
        if intake is None or somebody_waited:
            begun = time.perf_counter()
            ended += self._decode()
            self._owed = max(0.0, self._owed - (time.perf_counter() - begun))
        if ended and not somebody_waited and (intake := self._next_intake(coming)) is not None:
            # The device is at work while the worker writes down what has ended.
            ended += self._take_in(intake)
        return ended

    def said(self) -> list[TextDelta]:
        """What the rows that are followed have said since the last call. The end of an answer is in its `EndedSequence` alone.

        A row whose tokens cannot be told fails at the next step.
        """
        told: list[TextDelta] = []
        for row in [row for row in self._running.values() if row.followed]:
            try:
                said = self._said(row)
            except Exception as error:
                logger.exception("What %s says cannot be told.", row.key)
                self.cancel(row.key)
                self._ended_early.append(failed(row, error))
            else:
                told += [said] if said is not None else []
        return told

    def cancel(self, key: str) -> bool:
        """Drop a row, also in the middle of its answer. False: there is none of this key."""
        if self._running.pop(key, None) is not None:
            self._ended_early += self._drop({key})
            return True
        for intake in self._intakes:
            if key in (row.key for row in intake.rows):
                self._intakes.remove(intake)
                self._waiting.put_back(row for row in intake.rows if row.key != key)
                return True
        if key in (row.key for row in self._ended_early):
            self._ended_early = [row for row in self._ended_early if row.key != key]
            return True
        return self._waiting.cancel(key)

    def look_at_memory(self) -> None:
        """Find out anew how much is left for rows. None may be there."""
        self._context.memory.look()

    def close(self) -> None:
        """Drop all rows and what the model's memory holds of them."""
        self._waiting.clear()
        self._intakes.clear()
        self._running.clear()
        self._batch = DecodeBatch(self.backend.language_model)

    # -- taking in ------------------------------------------------------------------------------------

    @property
    def _taken(self) -> list[LiveSequence]:
        """Rows that decode, or are about to."""
        return [*self._running.values(), *(row for intake in self._intakes for row in intake.rows)]

    @property
    def _somebody_waits(self) -> bool:
        return any(row.urgent for row in self._running.values())

    def _take_in(self, intake: PrefillGroup) -> list[EndedSequence]:
        """One unit of work: some images, or a part of a prompt."""
        begun = time.perf_counter()
        try:
            if intake.step():
                self._join(intake)
        except Exception as error:
            # Some of its rows may have joined already: without an owner they would decode on, and be counted.
            refused = self._refused(intake)
            return refused + self._drop({row.key for row in intake.rows}) + self._refuse(intake, error)
        if not intake.urgent and self._somebody_waits:
            # Half of the time belongs to whom somebody waits for.
            self._owed = time.perf_counter() - begun
        return self._refused(intake)

    def _refused(self, intake: PrefillGroup) -> list[EndedSequence]:
        """Rows that the intake has left behind, each with its own fault."""
        refused, intake.refused = intake.refused, []
        return [failed(row, error) for row, error in refused]

    def _next_intake(self, coming: bool) -> PrefillGroup | None:
        """Urgent rows first, also ahead of a group that is half way in. Nobody joins a row that has to be alone.

        Nor does anybody pass it: as long as others came, it would never have its turn.
        """
        rows = self._taken
        if rows and (self._waiting.next_is_alone or any(row.alone for row in rows)):
            return next(iter(self._intakes), None)
        if alone := self._waiting.take_alone():
            return self._begin(alone)
        room = self.slots - len(rows)
        intake = next((one for one in self._intakes if one.urgent), None)
        intake = intake or self._begin(self._waiting.take_urgent(room + self._reserve, rows))
        if intake is not None:
            return intake
        if self._owed and self._somebody_waits:
            return None
        if self._intakes:
            return self._intakes[0]
        return self._begin(self._waiting.take_group(room, rows, coming=coming))

    def _begin(self, rows: list[LiveSequence]) -> PrefillGroup | None:
        if not rows:
            return None
        self._intakes.append(PrefillGroup(rows, self._context))
        return self._intakes[-1]

    def _join(self, intake: PrefillGroup) -> None:
        constraints = {row.key: self.backend.constraint(row.prepared, row.ids) for row in intake.rows}
        for rows, prefill in intake.prefills:
            joining = [
                Joining(row.key, row.prepared.sampling, row.prepared.ids, row.ids, constraints[row.key]) for row in rows
            ]
            # A model whose rows run alone may not bear the caches of a batch, not even those of a batch of one.
            row_caches = prefill.caches if self.slots == 1 else prefill.batch_caches()
            self._batch.join(joining, row_caches, prefill.logits, prefill.rope_deltas())
        self._intakes.remove(intake)
        self._running.update((row.key, row) for row in intake.rows)

    def _refuse(self, intake: PrefillGroup, error: Exception) -> list[EndedSequence]:
        """An intake failed: a row that was by itself fails, those of a group try it by themselves.

        For one token; those of which a group fails again go to their end by themselves.
        """
        logger.exception("%s could not be taken in.", ", ".join(row.key for row in intake.rows))
        self._intakes.remove(intake)
        if len(intake.rows) == 1:
            return [failed(intake.rows[0], error)]
        for row in intake.rows:
            row.faults += 1
            row.alone = True
            row.alone_until = len(row.ids) + 1 if row.faults == 1 else row.prepared.sampling.max_tokens
        self._waiting.put_back(intake.rows)
        return []

    # -- decoding ---------------------------------------------------------------------------------------

    def _decode(self) -> list[EndedSequence]:
        if not self._running:
            return []
        try:
            tokens = self._batch.step()
        except Exception as error:
            return self._break_up(error)
        ended = [finished for key, token in tokens.items() if (finished := self._advance(self._running[key], token))]
        for finished in ended:
            del self._running[finished.key]
        sound = self._released()
        return ended + self._drop({finished.key for finished in ended} | sound)

    def _drop(self, keys: set[str]) -> list[EndedSequence]:
        """Take rows out of the batch. What the device was at may fail while they leave."""
        try:
            self._batch.drop(keys)
        except Exception as error:
            return self._break_up(error)
        return []

    def _advance(self, row: LiveSequence, token: Token) -> EndedSequence | None:
        """What the row's next token makes of it. A token that cannot be read ends its own row."""
        try:
            return self._after(row, token)
        except Exception as error:
            logger.exception("The answer of %s could not be read.", row.key)
            return failed(row, error)

    def _after(self, row: LiveSequence, token: Token) -> EndedSequence | None:
        now = time.perf_counter()
        row.first_token = row.first_token or now
        if token.id in self.backend.stops:
            return self._finish(row, "stop", now)
        row.tokens.append(token)
        if row.stream is not None and row.stream.add(token.id):
            return self._finish(row, "stop", now)
        if len(row.tokens) >= row.prepared.sampling.max_tokens:
            return self._finish(row, "length", now)
        return None

    def _said(self, row: LiveSequence) -> TextDelta | None:
        text = row.stream.take() if row.stream is not None else ""
        if not text:
            return None
        sampling, since = row.prepared.sampling, row.tokens[row.told :]
        at = row.told_characters
        row.told, row.told_characters = len(row.tokens), at + len(text)
        logprobs = as_json(self.backend.tokenizer, since, sampling.top_logprobs) if sampling.logprobs else None
        return TextDelta(row.key, text, at, logprobs)

    def _finish(self, row: LiveSequence, reason: str, now: float) -> EndedSequence:
        text = self.backend.text(row.ids) if row.stream is None else row.stream.finish()
        if row.stream is not None and row.stream.stopped:
            # Also when the limit came while another, longer stop string might still have begun before this one.
            reason = "stop"
        sampling, tokenizer = row.prepared.sampling, self.backend.tokenizer
        return EndedSequence(
            key=row.key,
            text=text,
            quality=judge(text, row.ids, reason),
            logprobs=as_json(tokenizer, row.tokens, sampling.top_logprobs) if sampling.logprobs else None,
            tokens=tuple(row.tokens),
            finish_reason=reason,
            prompt_tokens=len(row.prepared.ids),
            image_tokens=row.prepared.image_tokens,
            prefill_seconds=(row.first_token or now) - row.admitted,
            decode_seconds=now - (row.first_token or now),
        )

    def _break_up(self, error: Exception) -> list[EndedSequence]:
        """A step failed: tokens that were on their way are lost, caches are ahead of them, and nobody knows whose fault it was.

        The batch begins anew, and each row takes up its answer, first by itself: the culprit fails alone, the others have
        shown that it was not them. A row of a batch that broke again goes to its end by itself.
        """
        logger.exception("A step of %d rows failed; they are taken up one at a time.", len(self._running))
        rows = list(self._running.values())
        self._running.clear()
        self._batch = DecodeBatch(self.backend.language_model)
        if len(rows) == 1:
            return [failed(rows[0], error)]
        for row in rows:
            row.faults += 1
            row.alone = True
            row.alone_until = len(row.tokens) + PROBATION if row.faults == 1 else row.prepared.sampling.max_tokens
        self._waiting.put_back(rows)
        return []

    def _released(self) -> set[str]:
        """Rows that have shown by themselves that they are sound: they join the others again when all of them have."""
        sound = [row for row in self._running.values() if row.alone and len(row.tokens) >= row.alone_until]
        for row in sound:
            del self._running[row.key]
            row.alone = False
            self._waiting.add(row)
        return {row.key for row in sound}
