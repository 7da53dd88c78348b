"""The `Retry-After` header: how many seconds a client waits before the next attempt.

The wait for a full lane is computed in `jobs/creation/backpressure.py`, from the speed of its workers.
"""

from __future__ import annotations

import math

from jobs.errors import CaptionqError

#: Seconds for a broker or a database that is away.
RETRY_AWAY = 1.0
#: Seconds for a worker: one that was started needs about this long.
RETRY_WORKER = 5.0
#: Seconds for a free stream.
RETRY_STREAM = 1.0


def retry_after_header(error: CaptionqError) -> dict[str, str]:
    """Return the header for an error whose wait is known, in whole seconds."""
    return {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}
