"""The end of a job: its answer is checked, then come the text file, the row and events. The worker reports to rq last."""

from __future__ import annotations

import logging

from jobs.errors import CaptionqError
from jobs.requests import Request
from jobs.store.store import Result, Store
from jobs.store.tables import Job
from worker.dispatch.job_events import JobEvents
from worker.dispatch.outcomes.answer_checks import check_answers
from worker.dispatch.outcomes.answer_shape import shaped
from worker.dispatch.outcomes.output_delivery import deliver, deliver_beside
from worker.dispatch.outcomes.quality_gate import checked, next_question
from worker.dispatch.retries import AT_ONCE, retry_delay
from worker.engine.sequences import Outcome

logger = logging.getLogger("captionq.worker")


class JobOutcomes:
    """Records outcomes in the store. A row that was cancelled meanwhile stays cancelled."""

    def __init__(self, worker: str, store: Store, events: JobEvents, max_attempts: int) -> None:
        self._worker = worker
        self._store = store
        self._events = events
        self._max_attempts = max_attempts

    def record(self, job: Job, outcome: Outcome) -> int | None:
        """Bring the job's row to its outcome. Returns the seconds until the next attempt; None: the job has ended."""
        if outcome.result is not None:
            return self._succeed(job, outcome.result)
        assert outcome.error is not None
        return self._fail(job, outcome.error)

    def _succeed(self, job: Job, result: Result) -> int | None:
        # The file goes before the end of the row: if the process dies in between, the job runs again and writes the same file.
        # The other way round a row would claim a file that is not there.
        result = checked(job, shaped(job.parsed_request(), result))
        if (question := next_question(job, result)) is not None:
            return self._ask_again(job, question, result)
        try:
            check_answers(job, result)
            if job.output is not None:
                if not deliver(job, result.text, self._store, self._worker):
                    return None
                deliver_beside(job, result.text, result, self._store, self._worker)
        except CaptionqError as error:
            return self._fail(job, error, result)
        if self._store.succeed(job.id, result):
            self._events.succeeded(job, result)
        return None

    def _ask_again(self, job: Job, question: Request, result: Result) -> int | None:
        """Release the row with a changed question: its answer has a flaw."""
        logger.info("%s is asked about again: its answer is %s", job.source or job.id, result.quality)
        if not self._store.ask_again(job.id, question):
            return None
        self._events.failed(job, again=True)
        return AT_ONCE

    def _fail(self, job: Job, error: CaptionqError, result: Result | None = None) -> int | None:
        """Fail the row, or release it for another attempt."""
        logger.info("%s failed: %s", job.source or job.id, error.message)
        delay = retry_delay(job, error, self._max_attempts)
        if delay is None:
            if self._store.fail(job.id, error, result):
                self._events.failed(job, again=False)
        elif self._store.release(job.id, error, result):
            self._events.failed(job, again=True)
        else:
            return None
        return delay
