"""Retry backoff: when a job that met a transient error is tried again."""

from __future__ import annotations

from jobs.errors import CaptionqError
from jobs.store.tables import Job

#: Seconds before the second, third, … attempt.
BACKOFF = (1, 5, 30)
LONGEST_DELAY = max(BACKOFF)
#: The delay of a job that goes to the front of its lane without waiting.
AT_ONCE = 0


def retry_delay(job: Job, error: CaptionqError, max_attempts: int) -> int | None:
    """Seconds until the next attempt of a job that met this error. None: the job fails."""
    # Attempts that ended with an answer met no error.
    attempts = job.attempts - job.quality_retries
    if not error.transient or attempts >= max_attempts:
        return None
    return BACKOFF[min(attempts, len(BACKOFF)) - 1]
