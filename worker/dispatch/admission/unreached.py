"""Jobs whose picture this worker does not reach: handed back for a worker that does, until every live worker has tried."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from redis import Redis
from rq.queue import Queue

from jobs.errors import CaptionqError, ImageNotReachedError
from jobs.queue.lanes import Entry, LaneQueue
from jobs.queue.worker_state import live_workers
from jobs.store.tables import Job
from worker.dispatch.retries import retry_delay
from worker.dispatch.rq_leases import AWAY

logger = logging.getLogger("captionq.worker")

#: Seconds for which this worker leaves a job to others after it has handed the job back.
LEFT_TO_OTHERS = 60.0
#: Seconds before a job that was handed back may begin elsewhere.
HAND_BACK_IN = 1
#: Seconds for which no job is dequeued after one was passed on, so that another worker takes it.
PASSED_ON_PAUSE = 0.1
#: Seconds for which Redis keeps the names of the workers that tried a job.
_TRIED_KEPT = 86_400
#: Jobs that are remembered at most.
_MOST_REMEMBERED = 100_000


class Unreached:
    """The jobs that one worker has handed back, and the workers that have tried each of them."""

    def __init__(self, worker: str, connection: Redis) -> None:
        self._worker = worker
        self._connection = connection
        #: The monotonic time of the hand-over, by job id, the oldest first.
        self._handed_back: dict[str, float] = {}
        self._missing: set[str] = set()
        self._pause_until = 0.0

    @property
    def pausing(self) -> bool:
        """Whether to dequeue nothing, because a job was passed on a moment ago."""
        return time.monotonic() < self._pause_until

    def pass_on(self, dequeued: Sequence[tuple[Entry, Queue]]) -> list[tuple[Entry, Queue]]:
        """Return the entries that this worker may try. Those that it has handed back go to the end of their lanes.

        Raises RedisError.
        """
        kept: list[tuple[Entry, Queue]] = []
        for entry, queue in dequeued:
            if time.monotonic() - self._handed_back.get(entry.id, -LEFT_TO_OTHERS) >= LEFT_TO_OTHERS:
                kept.append((entry, queue))
                continue
            assert isinstance(queue, LaneQueue)
            with self._connection.pipeline() as pipeline:
                pipeline.lrem(queue.intermediate_queue_key, 1, entry.id)
                pipeline.rpush(queue.key, entry.id)
                pipeline.execute()
            self._pause_until = time.monotonic() + PASSED_ON_PAUSE
        return kept

    def judge(self, job: Job, error: ImageNotReachedError, max_attempts: int) -> tuple[CaptionqError, int | None]:
        """Decide about a job whose picture is not reached here: the error for its row, and seconds until the next attempt.

        A live worker that has not tried the job may take it. If there is none, the job is tried as often as any other, and the
        error then tells who has tried.
        """
        self._note(error)
        try:
            tried = self._add_try(job.id)
            others = {state.name for state in live_workers(self._connection) if not state.draining} - tried
        except AWAY:
            return error, retry_delay(job, error, max_attempts)
        if others:
            self._remember(job.id)
            return error, HAND_BACK_IN
        self._handed_back.pop(job.id, None)
        delay = retry_delay(job, error, max_attempts)
        if delay is None and len(tried) > 1:
            return ImageNotReachedError(f"{error.message} Tried by {', '.join(sorted(tried))}."), None
        return error, delay

    def _add_try(self, job_id: str) -> set[str]:
        """Note that this worker has tried a job, and return the names of all workers that have."""
        key = f"captionq:tried:{job_id}"
        with self._connection.pipeline() as pipeline:
            pipeline.sadd(key, self._worker)
            pipeline.expire(key, _TRIED_KEPT)
            pipeline.smembers(key)
            return {name.decode() for name in pipeline.execute()[-1]}

    def _remember(self, job_id: str) -> None:
        self._handed_back.pop(job_id, None)
        self._handed_back[job_id] = time.monotonic()
        if len(self._handed_back) > _MOST_REMEMBERED:
            del self._handed_back[next(iter(self._handed_back))]

    def _note(self, error: ImageNotReachedError) -> None:
        """Log a missing root once. Jobs below it are counted in the metrics."""
        if error.root not in self._missing:
            self._missing.add(error.root)
            logger.warning(
                "%s is not reached from this machine. Its pictures go to other workers. Mount it, or set CAPTIONQ_PATH_MAP.",
                error.root,
            )
