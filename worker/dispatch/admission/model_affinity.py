"""Several models on several hosts: a job goes to a worker that has its model, and no two workers load models by turns.

Without other workers nothing here has an effect (`model_turns.py`). Beside others, a worker takes jobs of its own model. Jobs
of another model stay in their lanes:

- while another worker serves the model, as long as this one has jobs of its own, and some seconds more;
- else until they have waited so long that the batch is drained for them. One worker takes this turn, and announces it.

So no worker holds ids of a model that it does not run away from others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis import Redis

from jobs.queue.lanes import LaneQueue
from jobs.queue.workers.taken_ids import put_back
from jobs.store.tables import Lane
from worker.dispatch.admission.model_turns import MAX_WAIT, HeldJob
from worker.dispatch.admission.other_workers import OtherWorkers
from worker.pipeline.request_pipeline import RequestPipeline

#: Seconds for which a job waits for a worker that has its model, although this worker has nothing else to do.
AFFINITY = {Lane.INTERACTIVE: 2.0, Lane.BULK: 5.0}
#: Maximum number of entries that the bulk lane holds more because a worker leaves some.
MOST_LEFT = 1024


@dataclass(frozen=True)
class _LeftJob:
    """A job that this worker found in a lane, and left there."""

    model: str
    lane: Lane
    #: The monotonic time.
    since: float


class ModelAffinity:
    """Decides for one worker which jobs it leaves to others, and for which other model its batch is drained."""

    def __init__(
        self,
        connection: Redis,
        pipeline: RequestPipeline,
        queues: Sequence[LaneQueue],
        worker: str,
        default_model: str,
    ) -> None:
        """`default_model`: the model that this worker is meant to run: it needs no turn for it while it has none."""
        self._connection = connection
        self._pipeline = pipeline
        self._queues = queues
        self._default_model = default_model
        self._others = OtherWorkers(connection, worker)
        self._left: dict[str, _LeftJob] = {}
        #: The model that this worker is about to take up.
        self._turn: str | None = None

    @property
    def left(self) -> int:
        """For how many jobs that this worker leaves the lanes are to hold others."""
        return min(MOST_LEFT, len(self._left))

    @property
    def drains(self) -> bool:
        """Whether no new job begins, so that the batch ends and another model's turn comes."""
        return self._turn not in (None, self._pipeline.model) and self._pipeline.in_flight > 0

    def kept(self, taken: Iterable[HeldJob]) -> list[HeldJob]:
        """Return the jobs that this worker keeps. The others go back to the front of their lanes. Raises RedisError."""
        taken = list(taken)
        if any(one.model not in (None, self._pipeline.model) for one in taken):
            self._others.look_again()
        if self._others.alone:
            return taken
        kept: list[HeldJob] = []
        left: list[HeldJob] = []
        for one in taken:
            (kept if self._keeps(one) else left).append(one)
        for one in left:
            if one.model is not None:
                self._left.setdefault(one.entry.id, _LeftJob(one.model, one.lane, one.since))
        for one in kept:
            self._left.pop(one.entry.id, None)
        put_back(self._connection, [(one.queue, one.entry.id) for one in left])
        self._skip()
        return kept

    def review(self) -> None:
        """Look at the other workers, and decide whether a left job's turn has come. About every second. Raises RedisError."""
        self._others.look()
        if self._others.alone:
            self._left.clear()
            self._turn = None
        else:
            self._forget_taken()
            self._end_turn()
            if self._turn is None:
                self._choose_turn()
        self._skip()

    def _keeps(self, one: HeldJob) -> bool:
        if one.model is None or one.isolated:
            return True
        if self._turn is not None:
            return one.model == self._turn
        if one.model == self._pipeline.model:
            return True
        if self._pipeline.in_flight:
            return False
        if self._pipeline.model is None and one.model == self._default_model:
            return True
        since = self._left[one.entry.id].since if one.entry.id in self._left else one.since
        return time.monotonic() - since >= self._patience(one.model, one.lane) and self._takes_turn(one.model)

    def _patience(self, model: str, lane: Lane) -> float:
        """Return the seconds for which this worker leaves a job of another model alone."""
        is_busy = self._pipeline.in_flight > 0
        if self._others.serve(model, lane):
            return float("inf") if is_busy else AFFINITY[lane]
        is_nearer = model not in self._pipeline.models and self._others.have_in_memory(model)
        return (MAX_WAIT[lane] if is_busy else 0.0) + (AFFINITY[lane] if is_nearer else 0.0)

    def _takes_turn(self, model: str) -> bool:
        # A model that others serve already may be served by one more.
        if self._others.serve(model) or self._others.take_turn(model):
            self._turn = model
            return True
        return False

    def _choose_turn(self) -> None:
        now, lanes = time.monotonic(), list(Lane)
        for one in sorted(self._left.values(), key=lambda left: (lanes.index(left.lane), left.since)):
            waited = now - one.since
            # Jobs of the own model were left during another model's turn.
            is_due = one.model != self._pipeline.model and waited >= self._patience(one.model, one.lane)
            if is_due and self._takes_turn(one.model):
                return

    def _end_turn(self) -> None:
        """End the turn when the model is in place, or when no job of it is left."""
        if self._turn is None:
            return
        if self._pipeline.model == self._turn:
            self._turn = None
        elif not self._pipeline.in_flight and all(one.model != self._turn for one in self._left.values()):
            self._others.end_turn(self._turn)
            self._turn = None

    def _forget_taken(self) -> None:
        """Forget left jobs that have gone from their lanes, to other workers or cancelled, and those of a closed lane."""
        if self._left:
            waiting = {job_id for queue in self._queues if not queue.closed for job_id in queue.get_job_ids()}
            self._left = {job_id: one for job_id, one in self._left.items() if job_id in waiting}

    def _skip(self) -> None:
        """Tell the lanes which ids are not to be taken."""
        own = self._turn or self._pipeline.model
        skipped = {job_id for job_id, one in self._left.items() if one.model != own}
        for queue in self._queues:
            queue.skipped = skipped
