"""The state of the data folder's worker in a sentence, as `captionq doctor` shows it."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, WorkerError
from jobs.queue import broker
from jobs.queue.worker_state import SILENT_AFTER, WorkerState, live_workers
from worker.lock import running_worker
from worker.worker_name import worker_name

#: Seconds after its start within which a worker imports its libraries, and says nothing.
_START_SECONDS = 60.0


def worker_health(settings: Settings) -> str:
    """Return a sentence about a worker that works, or about none. Raises WorkerError for one that is stopped or stands still."""
    worker = running_worker(settings)
    if worker is None:
        return "not running; `captionq caption` starts its own"
    state = _state(settings)
    way_out = f"To end it: kill -9 {worker.pid}. Its jobs are kept, and the next worker takes them."
    if state is None:
        if abs(time.time() - settings.worker_lock.stat().st_mtime) < _START_SECONDS:
            return f"starting (PID {worker.pid})"
        raise WorkerError(
            f"The worker (PID {worker.pid}) has given no sign of life for {SILENT_AFTER} s: it is stopped, or waits for the "
            f"broker. {way_out}"
        )
    if state.stands_still:
        raise WorkerError(
            f"The worker (PID {worker.pid}) has made no step for {state.step_seconds:.0f} s. It ends itself after "
            f"CAPTIONQ_STALL ({settings.stall:.0f} s). {way_out}"
        )
    if state.fault:
        raise WorkerError(f"{state.fault} The worker waits, and goes on by itself.")
    return f"running; bulk work waits {state.bulk_wait}" if state.bulk_wait else "running"


def _state(settings: Settings) -> WorkerState | None:
    try:
        if (connection := broker.find(settings)) is None:
            return None
        with connection:
            name = worker_name(settings)
            return next((state for state in live_workers(connection) if state.name == name), None)
    except (CaptionqError, RedisError):
        return None
