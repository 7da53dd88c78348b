"""The sentence above a page while pictures wait for a process that is away."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from api.runtime.resources import Resources
from jobs.safe_text import safe_text

#: Seconds after which a worker that has published nothing may have died. It publishes every second, but a long step delays it.
SILENT_AFTER = 10.0

NO_BROKER = "The queue's server does not answer. captionq serve starts it again by itself; nothing is lost."
NO_WORKER = (
    "No worker is running, so pictures wait. captionq serve restarts its own worker by itself; "
    "another one starts with: captionq work"
)
SILENT_WORKER = (
    "The worker does not answer: it is in a long step, or it was killed. "
    "Its pictures go on by themselves when it is back."
)


def interruption(resources: Resources) -> str:
    """Return the sentence about the process that is away; empty: all is well."""
    try:
        workers = resources.workers()
    except RedisError:
        return NO_BROKER
    if not workers:
        return NO_WORKER
    if fault := next((one.fault for one in workers if one.fault), ""):
        return f"{safe_text(fault)} Pictures wait, and go on by themselves."
    return SILENT_WORKER if time.time() - max(worker.at for worker in workers) > SILENT_AFTER else ""
