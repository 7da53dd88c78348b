"""The deadline of a synchronous answer: `CAPTIONQ_SYNC_DEADLINE`.

Its default is in `jobs/configuration/settings.py`, its status 504 in `jobs/errors/requests.py`. The header that
names the job is sent by `api/streaming/chat_answer.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from jobs.errors import DeadlineError

T = TypeVar("T")


async def within_deadline(answer: Awaitable[T], seconds: float, job_id: str) -> T:
    """Await the answer for as long as a synchronous request may take. Raises DeadlineError; the job goes on."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise DeadlineError(
            f"No answer within {seconds:.0f} s. The job goes on: get its result from GET /v1/jobs/{job_id}."
        ) from None
