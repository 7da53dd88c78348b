"""The start of a worker while the database is locked, full or on a failing disk: it waits."""

from __future__ import annotations

import logging
import time

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import DatabaseLockedError, DiskError, DiskFullError
from jobs.store.store import Store
from worker.dispatch.crash_recovery import recover
from worker.dispatch.faults.database_patience import WRITER_WAIT, DatabasePatience

logger = logging.getLogger("captionq.worker")

#: Seconds between two attempts to open the database.
OPEN_PAUSE = 5.0


def open_store(settings: Settings) -> Store:
    """Open the worker's store, whose writers wait for a short time only. Raises DatabaseError for faults that do not pass."""
    is_said = False
    while True:
        try:
            return Store(settings, writer_wait=WRITER_WAIT)
        except (DatabaseLockedError, DiskError, DiskFullError) as error:
            if not is_said:
                logger.warning("%s The worker waits for that.", error.message)
            is_said = True
            time.sleep(OPEN_PAUSE)


def recover_patiently(worker: str, store: Store, connection: Redis, settings: Settings, *, died: bool) -> None:
    """Recover the jobs of a dead worker, as `recover` does. Waits until the database answers."""
    patience = DatabasePatience(settings, on_answer=lambda: None)
    while True:
        with patience.trying():
            recover(worker, store, connection, died=died)
            patience.answered()
        if patience.fault is None:
            return
        time.sleep(patience.pause())
