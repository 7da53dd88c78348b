"""Which jobs begin now: ids are dequeued from the lanes, held until their model's turn, leased, and their rows claimed.

Slots that bulk work leaves free for interactive jobs: `worker/engine/scheduler.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from redis import Redis
from rq.queue import Queue

from jobs.errors import CaptionqError
from jobs.faults import FaultPoint, point
from jobs.queue.feeding import Feeder
from jobs.queue.lanes import Entry, LaneQueue, take
from jobs.queue.workers.taken_ids import drop, put_back
from jobs.store.poison_limits import ISOLATED_AFTER_DEATHS
from jobs.store.queries.job_queries import JobSummary
from jobs.store.store import Store
from jobs.store.tables import JobStatus, Lane
from worker.dispatch.admission.closed_lane import close_bulk
from worker.dispatch.admission.model_affinity import ModelAffinity
from worker.dispatch.admission.model_turns import HeldJob, ModelTurns
from worker.dispatch.admission.other_claims import run_elsewhere
from worker.dispatch.admission.unreached import PASSED_ON_PAUSE, Unreached
from worker.dispatch.rq_leases import Lease, Leases
from worker.pipeline.request_pipeline import RequestPipeline

#: Maximum number of jobs dequeued between two engine steps.
MAX_DEQUEUED = 8
#: Minimum room for bulk jobs before any is dequeued: several cost little more than one. Smaller than the group that is prepared
#: ahead, so that no slot stays free meanwhile.
MIN_BULK_ROOM = 4
#: Seconds between two looks into the lanes while sequences decode. A look costs worker and broker a third of a millisecond of
#: CPU, and a new request is prepared for 10 ms and more in any case.
LOOK_EVERY = 0.025


class JobAdmission:
    """Admits jobs for one worker."""

    def __init__(
        self,
        connection: Redis,
        store: Store,
        pipeline: RequestPipeline,
        leases: Leases,
        queues: Sequence[LaneQueue],
        affinity: ModelAffinity,
        unreached: Unreached,
        worker: str,
    ) -> None:
        self._connection = connection
        self._store = store
        self._pipeline = pipeline
        self._leases = leases
        self._worker = worker
        self._unreached = unreached
        self._lanes = queues
        self._affinity = affinity
        self._feeder = Feeder(store, connection)
        self._turns = ModelTurns()
        #: Whether bulk jobs are held back: the disk of their texts is full.
        self.urgent_only = False
        #: Dequeued entries whose rows could not be read yet.
        self._unread: list[tuple[Entry, Queue]] = []
        #: When to look into the lanes next.
        self._look_due = 0.0

    def __len__(self) -> int:
        """How many jobs are held."""
        return len(self._turns) + len(self._unread)

    @property
    def open_lanes(self) -> Sequence[LaneQueue]:
        """The lanes from which entries may be taken now. Conditions under which the worker leaves jobs in their lanes go here."""
        return [queue for queue in self._lanes if not queue.closed]

    @property
    def leaves(self) -> bool:
        """Whether jobs are left in their lanes for other workers."""
        return self._affinity.left > 0

    def hold(self, dequeued: Sequence[tuple[Entry, Queue]]) -> None:
        """Hold dequeued entries until their turn, which may be at once. Jobs that this worker cannot do are passed on.

        An error of the database is raised, and the next call reads the rows of these entries, too.
        """
        dequeued = self._unread = [*self._unread, *self._unreached.pass_on(dequeued)]
        if not dequeued:
            if not self._pipeline.in_flight:
                # Another worker gets the time to take them.
                time.sleep(PASSED_ON_PAUSE)
            return
        rows = self._store.summaries([entry.id for entry, _ in dequeued])
        taken: list[HeldJob] = []
        for entry, queue in dequeued:
            assert isinstance(queue, LaneQueue)
            row = rows.get(entry.id)
            isolated = row is not None and row.deaths >= ISOLATED_AFTER_DEATHS
            taken.append(HeldJob(entry, queue, row, isolated))
        kept = self._affinity.kept(taken)
        self._unread = []
        for one in kept:
            self._turns.hold(one)

    def next_held(self) -> list[Lease]:
        """Claim held jobs whose turn has come. A lease without a job is stale and has only to be reported."""
        if self._unread:
            self.hold([])
        if self._drains:
            return []
        group: list[HeldJob] = []
        for held in self._turns.in_order():
            if self.urgent_only and held.lane != Lane.INTERACTIVE:
                continue
            room = self._pipeline.room(urgent=held.lane == Lane.INTERACTIVE)
            if room > len(group) and self._may_begin(held, group):
                group.append(held)
        return self._claim(group) if group else []

    def next_queued(self) -> list[Lease]:
        """Dequeue at most `MAX_DEQUEUED` jobs if there is room for them, and claim those whose turn has come."""
        if self._turns.full or self._turns.overdue or self._drains or self._unreached.pausing:
            return []
        queues, room = self._lanes_with_room()
        if room <= 0 or (self._pipeline.rows and time.monotonic() < self._look_due):
            return []
        wanted = min(room, MAX_DEQUEUED)
        dequeued = take(self._connection, queues, wanted)
        # Where some were, more may come at once.
        self._look_due = 0.0 if dequeued else time.monotonic() + LOOK_EVERY
        if dequeued:
            # First of all, so that they are held whatever the database does.
            self.hold(dequeued)
        ran_dry = len(dequeued) < wanted and len(queues) == len(self._lanes)
        self._feeder.top_up(ran_dry=ran_dry, left=self._affinity.left)
        return self.next_held() if dequeued else []

    def close_bulk(self, closed: bool) -> None:
        """Take no bulk jobs, or take them again: see `worker/dispatch/admission/closed_lane.py`. Raises RedisError."""
        close_bulk(self._connection, self._lanes, self._turns, closed=closed)

    def review(self) -> None:
        """Leave held jobs of other models to workers that have them. To be called about every second. Raises RedisError."""
        self._affinity.review()
        held = self._turns.in_order()
        kept = self._affinity.kept(held)
        for one in held:
            if one not in kept:
                self._turns.release(one)

    def sweep(self) -> None:
        """Drop ids from this worker's intermediate lists that are not held: the reply to their LMOVE was lost, or had no hash.

        Then their rows get new entries.
        """
        held = self._turns.ids | {entry.id for entry, _ in self._unread}
        for queue in self._lanes:
            for job_id in queue.taken_ids():
                if job_id not in held:
                    self._connection.lrem(queue.intermediate_queue_key, 1, job_id)

    def give_back(self) -> None:
        """Put the ids of all held jobs, which were never claimed, back to the front of their lanes. Raises RedisError."""
        held = [(one.queue, one.entry.id) for one in self._turns.in_order()]
        held += [(queue, entry.id) for entry, queue in self._unread if isinstance(queue, LaneQueue)]
        self._turns.clear()
        self._unread = []
        put_back(self._connection, held)

    @property
    def _drains(self) -> bool:
        """Whether no new job begins, so that the batch ends and the turn of another model, or of an isolated job, comes."""
        return self._affinity.drains or (self._pipeline.in_flight > 0 and self._turns.overdue)

    def _may_begin(self, held: HeldJob, group: Sequence[HeldJob]) -> bool:
        """Whether a job may begin beside the running jobs and the group.

        An isolated job begins only when nothing else runs, and jobs of one model run together. An entry that comes twice waits
        for the first one.
        """
        isolated = held.isolated or any(one.isolated for one in group) or self._has_isolated
        if isolated and (self._leases.running or group):
            return False
        return (held.model is None or self._pipeline.accepts(held.model)) and not any(
            one.entry.id == held.entry.id or (one.model is not None and held.model not in (None, one.model))
            for one in group
        )

    @property
    def _has_isolated(self) -> bool:
        """Whether an isolated job runs."""
        return any(lease.claimed.deaths >= ISOLATED_AFTER_DEATHS for lease in self._leases.running.values())

    def _lanes_with_room(self) -> tuple[list[LaneQueue], int]:
        """The lanes to dequeue from, and for how many jobs. A batch full of bulk jobs has room for interactive ones."""
        takes_bulk = len(self.open_lanes) == len(self._lanes) and not self.urgent_only
        if (room := self._pipeline.room()) >= MIN_BULK_ROOM and takes_bulk:
            return list(self._lanes), room
        interactive = [queue for queue in self._lanes if queue.name == Lane.INTERACTIVE]
        return interactive, self._pipeline.room(urgent=True)

    def _claim(self, group: Sequence[HeldJob]) -> list[Lease]:
        """Lease the entries, then claim their rows."""
        rows = {held.entry.id: held.row for held in group}
        if old := [held.entry.id for held in group if not held.is_fresh]:
            rows |= dict.fromkeys(old) | self._store.summaries(old)
        wanted = [held for held in group if self._is_wanted(held, rows[held.entry.id])]
        if not wanted:
            return []
        leases = self._leases.open(wanted)
        for held in wanted:
            self._turns.release(held)
        point(FaultPoint.CLAIM)
        try:
            claimed = self._store.claim([lease.entry.id for lease in leases], self._worker)
        except Exception:
            self._leases.give_back(leases, requeue=True)
            raise
        point(FaultPoint.CLAIMED)
        elsewhere = run_elsewhere(self._store, [lease.entry.id for lease in leases if lease.entry.id not in claimed])
        return [
            replace(lease, job=claimed.get(lease.entry.id), is_elsewhere=lease.entry.id in elsewhere)
            for lease in leases
        ]

    def _is_wanted(self, held: HeldJob, row: JobSummary | None) -> bool:
        """Whether to claim the row. An entry that captionq did not make, or whose row is not queued, is dropped."""
        entry, queue = held.entry, held.queue
        runs = entry.id in self._leases.running
        if row is not None and row.status == JobStatus.QUEUED and not runs:
            try:
                entry.check()
            except CaptionqError as error:
                self._store.fail(entry.id, error)
            else:
                return True
        # A job that another worker runs needs its entry there.
        drop(self._connection, queue, entry.id, keep=runs or (row is not None and row.status == JobStatus.RUNNING))
        self._turns.release(held)
        return False
