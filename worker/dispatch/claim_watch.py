"""The watch over this worker's claims: jobs that were cancelled, or taken over by another worker, are dropped.

A worker may be suspended at any moment, for longer than its lease. When it wakes up, it looks at the rows before it says anything
about a job. The rows refuse its writes in any case; here it learns early, and publishes no event.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable

from jobs.store.claims import Claim, lost_claims
from jobs.store.store import Store
from jobs.store.tables import OPEN, JobStatus
from worker.dispatch.outcomes.job_outcomes import Recorded
from worker.dispatch.rq_leases import Leases
from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")

#: Seconds between two looks at the rows of running jobs.
WATCH_EVERY = 1.0


class ClaimWatch:
    """Ends the leases of jobs, and looks at their rows."""

    def __init__(self, store: Store, pipeline: RequestPipeline, leases: Leases, lease: int) -> None:
        """`lease`: seconds for which a heartbeat keeps a lease."""
        self._store = store
        self._pipeline = pipeline
        self._leases = leases
        self._lease = lease
        self._looked_at = (float("-inf"), float("-inf"))
        #: Ids of jobs to stop, noted by the thread that listens for rq's commands.
        self.stops: deque[str] = deque()

    def seconds_unwatched(self) -> float:
        """Return the seconds since the rows were looked at. Of the two clocks, the monotonic one may stop while a Mac sleeps."""
        return max(time.monotonic() - self._looked_at[0], time.time() - self._looked_at[1])

    def look(self) -> None:
        """Look at the rows if that is due or a job was stopped, and drop the jobs that are no longer this worker's."""
        if not self.stops and self.seconds_unwatched() < WATCH_EVERY:
            return
        while self.stops:
            self._store.cancel([self.stops.popleft()])
        self._looked_at = time.monotonic(), time.time()
        claims = [Claim.of(lease.claimed) for lease in self._leases.running.values()]
        taken_over = 0
        for job_id, status in lost_claims(self._store.engine, claims).items():
            self._pipeline.cancel(job_id)
            self._leases.end(job_id, keeps_entry=status in OPEN)
            taken_over += status not in (None, JobStatus.CANCELLED)
        if taken_over:
            logger.warning("%d jobs were taken over by other workers: this one was away for too long.", taken_over)

    def look_after_pause(self) -> None:
        """Look at the rows if this process may have been suspended since the last look: call it before anything is published."""
        if self.seconds_unwatched() > self._lease / 2:
            self.look()

    def end(self, recorded: Iterable[Recorded]) -> None:
        """End the leases of these jobs. A refused outcome leaves the entry to the job's next worker."""
        for job_id, retry_in, is_refused in recorded:
            # The lease of a job that was cancelled while its file was written has ended.
            if job_id in self._leases.running:
                is_open = is_refused and self._store.statuses([job_id]).get(job_id) in OPEN
                self._leases.end(job_id, retry_in=retry_in, keeps_entry=is_open)
