"""Stopping a worker that is no child of this process.

It finishes what it can within `grace` seconds (`jobs/configuration/settings.py`).
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from jobs.configuration.settings import Settings
from jobs.errors import WorkerError
from worker.lock import RunningWorker, is_running

#: Seconds beyond the grace period that the worker has to end.
MARGIN = 15.0
#: Seconds between two checks whether the worker has ended.
CHECK_PAUSE = 0.05


def stop_worker(worker: RunningWorker, settings: Settings) -> None:
    """Ask a worker to end, and wait until it has. Raises WorkerError if it does not."""
    with suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGTERM)
    deadline = time.monotonic() + settings.grace + MARGIN
    while is_running(settings):
        if time.monotonic() > deadline:
            raise WorkerError(f"The worker (PID {worker.pid}) does not end. To kill it: kill -9 {worker.pid}")
        time.sleep(CHECK_PAUSE)
