"""Outcomes that wait in memory: the database is at fault, or the disk of their text files is full.

Nothing is generated again because of such a fault, and no job is charged with it. The worker's leases on these jobs go on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace

from jobs.errors import OutputDiskFullError
from jobs.queue.worker_state import Fault
from jobs.requests import path_of
from jobs.store.claims import Claim
from jobs.store.store import Store
from jobs.store.tables import Job
from worker.dispatch.faults.database_patience import DatabasePatience
from worker.dispatch.outcomes.job_outcomes import JobOutcomes, Recorded
from worker.dispatch.retries import AT_ONCE
from worker.engine.sequences import Outcome

logger = logging.getLogger("captionq.worker")

#: Seconds between two looks whether a full disk has room again.
ROOM_CHECK_EVERY = 5.0


@dataclass(frozen=True)
class _Held:
    job: Job
    outcome: Outcome
    #: Whether recording it has met a fault: the row, and a file, may have changed meanwhile.
    again: bool = False


class HeldOutcomes:
    """The outcomes of one worker's jobs, each held until it is recorded."""

    def __init__(self, store: Store, outcomes: JobOutcomes, patience: DatabasePatience) -> None:
        self._store = store
        self._outcomes = outcomes
        self._patience = patience
        #: In the order in which they came.
        self._waiting: deque[_Held] = deque()
        self._without_room: deque[_Held] = deque()
        #: Devices whose disks are full, and the time of the next look.
        self._full: dict[int, float] = {}
        #: The full disk; None: no outcome lacks room.
        self.lack_of_room: Fault | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._without_room)

    @property
    def fault(self) -> Fault | None:
        """The fault that outcomes wait for; None: there is none."""
        return self._patience.fault or self.lack_of_room

    @property
    def waits_for_database(self) -> bool:
        """Whether an outcome could not be written into its row."""
        return bool(self._waiting)

    def record(self, job: Job, outcome: Outcome) -> list[Recorded]:
        """Record an outcome, or hold it. Returns the jobs whose outcomes are recorded by now."""
        self._waiting.append(_Held(job, outcome))
        return self.retry()

    def retry(self) -> list[Recorded]:
        """Record the held outcomes whose time has come. Returns their jobs."""
        self._look_for_room()
        recorded: list[Recorded] = []
        while self._waiting and not self._patience.waits:
            with self._patience.trying():
                recorded += self._record(self._waiting[0])
                self._waiting.popleft()
                self._patience.answered()
        return recorded

    def deliver(self, seconds: float) -> list[Recorded]:
        """End the jobs whose captions are in their images by now. `seconds`: how long to wait for the first."""
        recorded: list[Recorded] = []
        for delivery in self._outcomes.delivered(seconds):
            held = _Held(delivery.job, Outcome(delivery.job.id, result=delivery.result), again=True)
            ended = False
            if not self._patience.waits:
                with self._patience.trying():
                    try:
                        recorded.append(self._outcomes.end(delivery))
                    except OutputDiskFullError as error:
                        self._hold_for_room(held, error)
                    ended = True
            if not ended:
                self._waiting.append(held)
        return recorded

    def give_up(self) -> list[Recorded]:
        """Record all outcomes for the last time. Answers whose files have no room are kept in their rows. Raises DBAPIError."""
        recorded: list[Recorded] = []
        self._full.clear()
        self._waiting += self._without_room
        self._without_room.clear()
        while self._waiting:
            recorded += self._record(self._waiting[0])
            self._waiting.popleft()
        for held in self._without_room:
            is_released = self._store.release(Claim.of(held.job), None, held.outcome.result)
            recorded.append(Recorded(held.job.id, AT_ONCE if is_released else None, is_refused=not is_released))
        self.clear()
        return recorded

    def clear(self) -> None:
        """Forget all outcomes."""
        self._waiting.clear()
        self._without_room.clear()
        self._full.clear()
        self.lack_of_room = None

    def _record(self, held: _Held) -> list[Recorded]:
        """Record an outcome. Empty: its files are being written, or have no room."""
        job = held.job
        if held.again:
            found = self._store.find(job.id)
            if found is None or Claim.of_running(found) != Claim.of(job):
                # Cancelled, taken over by another worker, or recorded by a commit whose answer was lost.
                return [Recorded(job.id, is_refused=True)]
            job = found
        else:
            self._waiting[0] = held = replace(held, again=True)
        if self._is_full(job):
            self._without_room.append(held)
            return []
        try:
            return self._outcomes.record(job, held.outcome)
        except OutputDiskFullError as error:
            self._hold_for_room(held, error)
            return []

    def _hold_for_room(self, held: _Held, error: OutputDiskFullError) -> None:
        if not self._without_room and not self.lack_of_room:
            logger.warning("%s The worker keeps its texts, and goes on by itself when there is room.", error.message)
        self.lack_of_room = Fault(error.code, error.message)
        self._without_room.append(held)
        if (device := _device(held.job)) is not None:
            self._full[device] = time.monotonic() + ROOM_CHECK_EVERY

    def _is_full(self, job: Job) -> bool:
        return bool(self._full) and job.output is not None and _device(job) in self._full

    def _look_for_room(self) -> None:
        """Let the outcomes try again whose disk was full some time ago."""
        if not self._without_room:
            self.lack_of_room = None
        elif any(at <= time.monotonic() for at in self._full.values()) or not self._full:
            now = time.monotonic()
            self._full = {device: at for device, at in self._full.items() if at > now}
            self._waiting += self._without_room
            self._without_room.clear()


def _device(job: Job) -> int | None:
    """Return the device on which the job's text file lies; None: that cannot be told."""
    try:
        return path_of(job.output or "").parent.stat().st_dev
    except OSError:
        return None
