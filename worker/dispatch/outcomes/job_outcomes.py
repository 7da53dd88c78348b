"""The end of a job: its answer is checked, then come the text file, the row and events. The worker reports to rq last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from jobs.captions.outputs.exiftool import ExifTool
from jobs.errors import CaptionqError, ClaimLostError, DatabaseError, ImageNotReachedError, OutputDiskFullError
from jobs.faults import FaultPoint, point
from jobs.requests import Request
from jobs.store.claims import Claim
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Job
from worker.dispatch.admission.unreached import Unreached
from worker.dispatch.job_events import JobEvents
from worker.dispatch.outcomes.answer_checks import check_answers
from worker.dispatch.outcomes.answer_shape import shaped
from worker.dispatch.outcomes.embedding_thread import Delivery, EmbeddingThread
from worker.dispatch.outcomes.output_delivery import deliver, deliver_beside
from worker.dispatch.outcomes.quality_gate import checked, next_question, under_first_question
from worker.dispatch.retries import AT_ONCE, retry_delay
from worker.engine.sequences import Outcome

logger = logging.getLogger("captionq.worker")


class Recorded(NamedTuple):
    """A job whose outcome was recorded, or refused."""

    job_id: str
    #: Seconds until the next attempt; None: the job has ended.
    retry_in: int | None = None
    #: Whether the row was no longer in this worker's claim: the job was cancelled, or another worker has taken it over.
    is_refused: bool = False


class JobOutcomes:
    """Records outcomes in the store. A row that was cancelled, or taken over by another worker, stays as it is."""

    def __init__(self, worker: str, store: Store, events: JobEvents, max_attempts: int, unreached: Unreached) -> None:
        self._worker = worker
        self._store = store
        self._events = events
        self._max_attempts = max_attempts
        self._unreached = unreached
        self._embedding = EmbeddingThread()

    def record(self, job: Job, outcome: Outcome) -> list[Recorded]:
        """Bring the job's row to its outcome. Empty: its caption goes into the image first, and `delivered` yields the job.

        Raises OutputDiskFullError, and errors of the database.
        """
        if outcome.error is not None:
            return [self._fail(job, outcome.error)]
        assert outcome.result is not None
        # The file goes before the end of the row: if the process dies in between, the job runs again and writes the same file.
        # The other way round a row would claim a file that is not there.
        strips = bool(job.parsed_delivery().strip_openers)
        result = checked(job, shaped(job.parsed_request(), outcome.result, removes_openers=strips))
        if (question := next_question(job, result)) is not None:
            return [self._ask_again(job, question, result)]
        result = under_first_question(job, result)
        if job.output is not None and job.parsed_delivery().embed:
            self._embedding.begin(job, result, partial(self._deliver, job, result))
            return []
        return [self._succeed(job, result, partial(self._deliver, job, result, None))]

    def delivered(self, seconds: float = 0.0) -> Iterator[Delivery]:
        """Yield the jobs whose captions are in their images by now. `seconds`: how long to wait for the first."""
        return self._embedding.ended(seconds)

    def end(self, delivery: Delivery) -> Recorded:
        """End the row of a job whose caption is in its image, or could not be written there."""
        return self._succeed(delivery.job, delivery.result, delivery.future.result)

    def close(self) -> None:
        """Wait until no file is being written, and end exiftool."""
        self._embedding.close()

    def _deliver(self, job: Job, result: Result, exiftool: ExifTool | None) -> bool:
        """Write the job's files. False: the job was cancelled, or taken over. Raises CaptionqError."""
        check_answers(job, result)
        if job.output is not None:
            if not deliver(job, result.text, self._store, self._worker, exiftool):
                return False
            deliver_beside(job, result.text, result, self._store, self._worker)
        return True

    def _succeed(self, job: Job, result: Result, write_files: Callable[[], bool]) -> Recorded:
        try:
            if not write_files():
                return Recorded(job.id, is_refused=True)
        except ClaimLostError:
            return Recorded(job.id, is_refused=True)
        except (DatabaseError, OutputDiskFullError):
            # No fault of the job: the caller holds the outcome.
            raise
        except CaptionqError as error:
            return self._fail(job, error, result)
        point(FaultPoint.ANSWERED)
        if not self._store.succeed(Claim.of(job), result):
            return Recorded(job.id, is_refused=True)
        if result.cached:
            self._events.answered(job, result)
        self._events.succeeded(job, result)
        return Recorded(job.id)

    def _ask_again(self, job: Job, question: Request, result: Result) -> Recorded:
        """Release the row with a changed question: its answer has a flaw."""
        logger.info("%s is asked about again: its answer is %s", job.source or job.id, result.quality)
        if not self._store.ask_again(Claim.of(job), question, job.cache_key or result.cache_key):
            return Recorded(job.id, is_refused=True)
        self._events.failed(job, again=True)
        return Recorded(job.id, AT_ONCE)

    def _fail(self, job: Job, error: CaptionqError, result: Result | None = None) -> Recorded:
        """Fail the row, or release it for another attempt."""
        logger.info("%s failed: %s", job.source or job.id, error.message)
        if isinstance(error, ImageNotReachedError):
            self._events.metrics.not_reached(job.lane)
            error, delay = self._unreached.judge(job, error, self._max_attempts)
        else:
            delay = retry_delay(job, error, self._max_attempts)
        claim = Claim.of(job)
        if not (self._store.fail(claim, error, result) if delay is None else self._store.release(claim, error, result)):
            return Recorded(job.id, is_refused=True)
        self._events.failed(job, again=delay is not None)
        return Recorded(job.id, delay)
