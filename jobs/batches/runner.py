"""The runner: a thread that leads all open batches to their ends. After a restart it goes on by the rows."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from redis.exceptions import RedisError

from jobs.batches.life_cycle import BatchLife
from jobs.store.databases.passing_faults import log_failure
from jobs.store.file_batches.file_batch_rows import FileBatches

logger = logging.getLogger("captionq.batches")

#: Seconds between two looks at the open batches, and between two tries of a batch that could not go on.
LOOK_EVERY = 0.25
RETRY_EVERY = 5.0
#: Seconds that a step may take when the runner is closed. A longer one is abandoned: every step can be repeated.
CLOSE_SECONDS = 5.0


class Rest(Protocol):
    """Pause of `seconds` between two looks; longer, if nothing is open (`busy`) and no client makes work.

    Returns False when the runner has to end.
    """

    def __call__(self, seconds: float, *, busy: bool) -> bool: ...


class BatchRunner:
    """A thread that lives as long as the API."""

    def __init__(self, batches: FileBatches, life: BatchLife, rest: Rest) -> None:
        self._batches = batches
        self._life = life
        self._rest = rest
        #: Whether the last look found an open batch.
        self._leads = True
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        pause = LOOK_EVERY
        while self._rest(pause, busy=self._leads) and not self._done.is_set():
            try:
                pause = LOOK_EVERY if self._advance_all() else RETRY_EVERY
            except Exception:
                pause = RETRY_EVERY
                self._report("The open batches could not be read.")

    def _advance_all(self) -> bool:
        """Take the next step of each open batch. Returns whether all could go on."""
        went_on, found = True, self._batches.open()
        self._leads = bool(found)
        for batch in found:
            if self._done.is_set():
                break
            try:
                self._life.advance(batch)
            except RedisError as error:
                went_on = False
                logger.warning("The broker is away (%s): %s waits for it.", error, batch.id)
            except Exception:
                went_on = False
                self._report(f"{batch.id} could not go on. It is tried again.")
        return went_on

    def _report(self, words: str) -> None:
        # A step that was abandoned when the server stopped finds the database closed.
        if not self._done.is_set():
            log_failure(logger, words)
