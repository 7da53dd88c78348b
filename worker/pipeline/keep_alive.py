"""The time for which models without jobs stay in memory (`CAPTIONQ_KEEP_ALIVE`)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from worker.pipeline.request_pipeline import RequestPipeline

logger = logging.getLogger("captionq.worker")


class KeepAlive:
    """Unloads the models of a worker that has been idle for long enough. The next job loads its model again."""

    def __init__(self, pipeline: RequestPipeline, seconds: float, pinned: Sequence[str]) -> None:
        """`seconds`: how long models stay; infinity: for ever. `pinned` ones stay in any case."""
        self._pipeline = pipeline
        self._seconds = seconds
        self._pinned = pinned
        #: Since when the worker is idle (monotonic time); None: it is not.
        self._idle_since: float | None = None
        #: When the models leave memory unless a job comes, in whole seconds since the epoch; None: they stay for now.
        self.unloads_at: float | None = None

    def look(self, *, idle: bool) -> None:
        """Unload the models if it is time. To be called about every second. `idle`: no job runs or is about to run."""
        if not idle or math.isinf(self._seconds) or set(self._pipeline.models) <= set(self._pinned):
            self._idle_since = self.unloads_at = None
            return
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
            self.unloads_at = float(round(time.time() + self._seconds))
        if now - self._idle_since >= self._seconds:
            self._pipeline.unload()
            self._idle_since = self.unloads_at = None
            logger.info("No job for %.0f s: the models that are not pinned have left memory.", self._seconds)
