"""Continuous batching: schedule → prefill → decode → collect. Knows sequences and tokens, and nothing of Redis or SQL."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

import mlx.core as mx

from jobs.faults import FaultPoint, point
from worker.engine.answers import Answers, failed
from worker.engine.decode_batch import DecodeBatch
from worker.engine.figures import Figures
from worker.engine.live_sequences import LiveSequences
from worker.engine.prefill.prefill_group import PrefillContext, PrefillGroup
from worker.engine.quarantine import Quarantine
from worker.engine.scheduler import Scheduler
from worker.engine.sequences import LiveSequence, Outcome, SequenceState, TextDelta
from worker.engine.stage_clock import Stage
from worker.models import kv_cache
from worker.models.backends import Backend
from worker.models.inputs import Prepared
from worker.sampling.tokens import Token

logger = logging.getLogger("captionq.engine")

#: Tokens that a sequence of a broken decode step decodes by itself before it may join the others again. The broken step was
#: computing the second token after those that had come out; a third token shows that the sequence is past the fault.
PROBATION = 3
#: Tokens that a sequence of a broken prefill group decodes by itself: the first shows that its prompt is sound.
PREFILL_PROBATION = 1


class Engine:
    """A batch of up to `slots` sequences on one backend."""

    def __init__(self, backend: Backend, slots: int = 32, group: int = 8) -> None:
        self.backend = backend
        self.slots = slots
        self.group = min(group, backend.group, max(1, slots // 2))
        self._context = PrefillContext(backend)
        self.clock = self._context.clock
        self._quarantine = Quarantine()
        self._scheduler = Scheduler(self._context, slots, self.group, self._quarantine)
        self._batch = DecodeBatch(backend.language_model)
        self._answers = Answers(backend)
        self._sequences = LiveSequences(self._quarantine)

    @property
    def figures(self) -> Figures:
        """Counts and seconds since the engine was made."""
        return Figures(self.backend.images_encoded, self.clock.totals, self.backend.feature_counts)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do."""
        return bool(self._sequences or self._sequences.ended)

    @property
    def working(self) -> bool:
        """Whether a step has work for the device: sequences may also wait for others to be prefilled with."""
        return self._sequences.any_taken

    @property
    def bulk_waits(self) -> bool:
        """Whether sequences that are not urgent wait or are prefilled."""
        return self._scheduler.has_bulk

    @property
    def free(self) -> int:
        """Number of sequences that may be admitted: a full batch, and the next group, ready for when it has room."""
        return self.slots + self.group - len(self._sequences)

    @property
    def decoding(self) -> int:
        """Number of sequences that decode."""
        return len(self._sequences.decoding)

    def admit(self, key: str, prepared: Prepared, *, urgent: bool = False, followed: bool = False) -> None:
        """Let a sequence join the batch in the next steps.

        Args:
            urgent: The sequence goes ahead of all that are not.
            followed: `said` returns its text deltas.
        """
        stream = self._answers.stream(prepared, followed=followed)
        sequence = LiveSequence(key, prepared, urgent, stream=stream, followed=followed)
        self._sequences.add(sequence)
        self._scheduler.waiting.add(sequence)

    def step(self, *, coming: bool = False, urgent_coming: bool = False) -> list[Outcome]:
        """Prefill a little, or decode every sequence by one token; return the outcomes of sequences that have ended.

        Bulk sequences decode when the batch is as full as it gets: a step takes hardly longer for many sequences than for
        few. While an urgent sequence decodes, each step does both; beside the prefill of other urgent ones, steps at times.

        Args:
            coming: More sequences will be admitted soon, and a group may wait until it is full.
            urgent_coming: More urgent sequences will be admitted soon.
        """
        point(FaultPoint.STEP)
        if not self.working:
            self.clock.restart()
        group = self._scheduler.next_group(self._sequences.decoding, coming=coming, urgent_coming=urgent_coming)
        if group is not None:
            self._prefill(group)
        urgent = self._sequences.decodes_urgent
        if group is None or (urgent and self._scheduler.decodes_beside(group, self._sequences.decoding)):
            self._decode()
        if self._sequences.ended and not urgent:
            # The device is at work while the worker records the outcomes.
            group = self._scheduler.next_group(self._sequences.decoding, coming=coming, urgent_coming=urgent_coming)
            if group is not None:
                self._prefill(group)
        return self._sequences.collect()

    def said(self) -> list[TextDelta]:
        """Return the text that followed sequences have added since the last call. The rest of an answer is in its outcome.

        A sequence whose tokens cannot be decoded to text fails at the next step.
        """
        deltas, failures = self._answers.deltas(self._sequences.decoding)
        for outcome in failures:
            self.cancel(outcome.key)
            self._sequences.ended.append(outcome)
        return deltas

    def texts_so_far(self) -> dict[str, str]:
        """Return the texts of all sequences that decode, by their keys."""
        return self._answers.texts_so_far(self._sequences.decoding)

    def cancel(self, key: str) -> bool:
        """Drop a sequence, also in the middle of its answer. Return False if there is none with this key."""
        sequence = self._sequences.remove(key)
        if sequence is None:
            return self._sequences.remove_ended(key)
        if sequence.state is SequenceState.DECODING:
            self._drop({key})
        else:
            self._scheduler.cancel(sequence)
        return True

    def look_at_memory(self) -> None:
        """Measure again how much memory is left for sequences. No sequence may be running."""
        self._context.memory.look()

    def close(self) -> None:
        """Drop all sequences and their caches."""
        self._sequences.clear()
        self._scheduler.clear()
        self._batch = DecodeBatch(self.backend.language_model)

    def _prefill(self, group: PrefillGroup) -> None:
        """Do one unit of work: encode some images, or prefill a part of the prompts."""
        begun = time.perf_counter()
        try:
            if group.step():
                self._join(group)
                self.clock.ended(Stage.PREFILL, units=0)
        except Exception as error:
            # Some of its sequences may have joined already: nothing would read the tokens that they go on to decode.
            self._fail_refused(group)
            self._drop({sequence.key for sequence in group.sequences})
            self._break_up_group(group, error)
            return
        if self._sequences.decodes_urgent:
            self._scheduler.prefilled(group, time.perf_counter() - begun)
        self._fail_refused(group)

    def _join(self, group: PrefillGroup) -> None:
        constraints = {one.key: self.backend.constraint(one.prepared, one.ids) for one in group.sequences}
        for leaders, prefill in group.prefills:
            sequences, rows = group.sharing(leaders)
            # A model that cannot be batched may not work with the caches of a batch, not even of a batch of one.
            caches = prefill.caches if self.slots == 1 else prefill.batch_caches()
            own = [constraints[sequence.key] for sequence in sequences]
            logits, rope_deltas = prefill.logits, prefill.rope_deltas()
            if len(sequences) > len(leaders):
                kv_cache.keep(caches, rows)
                index = mx.array(rows)
                logits, rope_deltas = logits[index], None if rope_deltas is None else rope_deltas[index]
            self._batch.join(sequences, own, caches, logits, rope_deltas)
        self._scheduler.end(group)
        for sequence in group.sequences:
            sequence.state = SequenceState.DECODING

    def _fail_refused(self, group: PrefillGroup) -> None:
        """End the sequences that the group has left behind, each with its own error."""
        refused, group.refused = group.refused, []
        for sequence, error in refused:
            self._sequences.end(failed(sequence, error))

    def _break_up_group(self, group: PrefillGroup, error: Exception) -> None:
        """Fail the only sequence of a broken group; quarantine the sequences of a larger one."""
        logger.exception("%s could not be prefilled.", ", ".join(sequence.key for sequence in group.sequences))
        self._scheduler.end(group)
        self._fail_or_isolate(group.sequences, error, PREFILL_PROBATION)

    def _decode(self) -> None:
        """Decode every sequence of the batch by one token; sequences that end or leave the quarantine leave the batch."""
        begun = time.perf_counter()
        if self._sequences.decoding:
            try:
                tokens = self._batch.step()
            except Exception as error:
                self._break_up_batch(error)
            else:
                self._advance(tokens)
                self.clock.ended(Stage.DECODE, len(tokens))
        self._scheduler.decoded(time.perf_counter() - begun)

    def _advance(self, tokens: Mapping[str, Token]) -> None:
        """Add each sequence's next token to its answer."""
        leaving = set()
        for key, token in tokens.items():
            outcome = self._answers.advance(self._sequences[key], token)
            if outcome is not None:
                self._sequences.end(outcome)
                leaving.add(key)
        for sequence in self._quarantine.release(self._sequences.decoding):
            # A sequence that has proved sound joins the others again when all of them have.
            self._scheduler.waiting.add(sequence)
            leaving.add(sequence.key)
        self._drop(leaving)

    def _drop(self, keys: set[str]) -> None:
        """Take sequences out of the batch. The work that the device was at may fail while they leave."""
        try:
            self._batch.drop(keys)
        except Exception as error:
            self._break_up_batch(error)

    def _break_up_batch(self, error: Exception) -> None:
        """Begin a new batch after a broken step.

        The caches are ahead of the lost tokens. Each sequence is prefilled again with those that had come out, first by itself.
        """
        sequences = self._sequences.decoding
        logger.exception("A step of %d sequences failed; they are taken up one at a time.", len(sequences))
        self._batch = DecodeBatch(self.backend.language_model)
        self._fail_or_isolate(sequences, error, PROBATION)

    def _fail_or_isolate(self, sequences: Sequence[LiveSequence], error: Exception, probation: int) -> None:
        """Fail a sequence that ran by itself; quarantine several for `probation` tokens, and let them wait again."""
        if len(sequences) == 1:
            self._sequences.end(failed(sequences[0], error))
            return
        self._quarantine.isolate(sequences, probation)
        self._scheduler.waiting.put_back(sequences)
