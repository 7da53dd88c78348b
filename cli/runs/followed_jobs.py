"""Jobs about images of a run that others have queued already: the run waits for them where they are."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from jobs.chunks import chunked
from jobs.creation.run_locks import RunLocks
from jobs.store.output_writers import Writer
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.store import Store
from jobs.store.tables import OPEN, Batch, Job

#: Seconds between two looks whether the commands that queued these jobs still run.
LOOK_EVERY = 1.0


class Followed:
    """Open jobs of live runs and of HTTP. When the run that has them dies, they are taken over."""

    def __init__(self, writers: Sequence[Writer], batch: Batch, store: Store, runs: RunLocks) -> None:
        """`batch`: of the run that follows."""
        self._own = batch.id
        self._store = store
        self._runs = runs
        self._ended: list[Job] = []
        #: Ids of the jobs by the batch that they are in.
        self._waiting: defaultdict[str, set[str]] = defaultdict(set)
        #: The place in the order of the ends that each batch has been read to. Asked for before the jobs are looked at: a job
        #: that ends in between is then seen by either.
        self._read = {writer.batch_id: store.last_order(writer.batch_id) for writer in writers if writer.batch_id}
        self._looked = time.monotonic()
        self._place(writer.job_id for writer in writers)

    def __bool__(self) -> bool:
        """Whether a job is left to wait for, or to be reported."""
        return bool(self._waiting or self._ended)

    def ended(self) -> list[Job]:
        """The jobs that have ended since the last call. One that was taken over ends in this run's own batch."""
        for batch_id in list(self._waiting):
            while page := self._store.finished_after(batch_id, self._read.get(batch_id, 0)):
                self._read[batch_id] = page[-1].finished_order or 0
                self._ended += [job for job in page if job.id in self._waiting[batch_id]]
                self._waiting[batch_id].difference_update(job.id for job in page)
            if not self._waiting[batch_id]:
                del self._waiting[batch_id]
        ended, self._ended = self._ended, []
        return ended

    def take_over(self) -> None:
        """Move what dead runs have left open into this run's batch. Looks once a second."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        dead = self._runs.dead(self._store.batch(batch_id) for batch_id in self._waiting)
        for batch_id in dead:
            left = sorted(self._waiting.pop(batch_id))
            self._store.adopt(left, self._own, dead)
            # Some may have ended just before, or another run that followed may have been faster.
            self._place(left)

    def _place(self, job_ids: Iterable[str]) -> None:
        for chunk in chunked(job_ids, ROWS_A_STATEMENT):
            for job in self._store.those(chunk):
                if job.batch_id == self._own:
                    continue
                if job.status in OPEN:
                    assert job.batch_id is not None
                    self._waiting[job.batch_id].add(job.id)
                else:
                    self._ended.append(job)
