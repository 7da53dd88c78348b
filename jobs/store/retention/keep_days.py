"""The setting `keep_days`: a thread of servers and workers that removes what ended longer ago, when nothing runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from sqlalchemy import Engine

from jobs.store.connection import reading
from jobs.store.databases.passing_faults import log_failure
from jobs.store.retention.free_space import give_back
from jobs.store.retention.pruning import prune
from jobs.store.rows.job_counts import count_running

logger = logging.getLogger("captionq.database")

_DAY = 86_400.0
#: Seconds between two looks whether it is time, and whether nothing runs.
LOOK_EVERY = 60.0
#: Seconds between two removals.
EVERY = 3600.0
#: Seconds after which old rows are removed while jobs run, if nothing but jobs ran until then.
LONGEST_WAIT = _DAY


class Retention:
    """A thread that removes old rows for as long as its process lives. Without the setting there is no thread."""

    def __init__(self, engine: Engine, keep_days: float | None, held: Callable[[], Collection[str]] = tuple) -> None:
        """`held`: see `prune`."""
        self._engine = engine
        self._held = held
        self._keep_days = keep_days
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        #: When old rows were due to be removed, in seconds of the monotonic clock.
        self._due = time.monotonic()

    def start(self) -> None:
        if self._keep_days is not None:
            self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread after its present transaction."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(LOOK_EVERY):
            if time.monotonic() < self._due:
                continue
            try:
                finished = self._may_go_on() and self.remove_old(time.time())
            except Exception:
                log_failure(logger, "Old jobs could not be removed. The next try is in an hour.")
                finished = True
            if finished:
                self._due = time.monotonic() + EVERY

    def remove_old(self, now: float) -> bool:
        """Remove what ended `keep_days` before `now`. Returns whether nothing is left; if not, jobs began meanwhile."""
        assert self._keep_days is not None
        removed = prune(self._engine, now - self._keep_days * _DAY, held=self._held, goes_on=self._may_go_on)
        if removed.jobs or removed.batches:
            freed = give_back(self._engine, goes_on=self._may_go_on)
            logger.info(
                "Removed old rows (CAPTIONQ_KEEP_DAYS is %g). Jobs: %d, batches: %d, disk space: %.1f MB.",
                self._keep_days,
                removed.jobs,
                removed.batches,
                freed / 1e6,
            )
        return removed.finished

    def _may_go_on(self) -> bool:
        """Return whether no job is running, or old rows have waited long enough for such a moment."""
        if self._done.is_set():
            return False
        if time.monotonic() - self._due > LONGEST_WAIT:
            return True
        with reading(self._engine) as connection:
            return count_running(connection) == 0
