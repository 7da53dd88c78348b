"""The runner: a thread that leads all open batches to their ends. After a restart it goes on by the rows."""

from __future__ import annotations

import logging
import threading

from redis.exceptions import RedisError

from jobs.batches.life_cycle import BatchLife
from jobs.store.file_batches.file_batch_rows import FileBatches

logger = logging.getLogger("captionq.batches")

#: Seconds between two looks at the open batches.
LOOK_EVERY = 0.25


class BatchRunner:
    """A thread that lives as long as the API."""

    def __init__(self, batches: FileBatches, life: BatchLife) -> None:
        self._batches = batches
        self._life = life
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(LOOK_EVERY):
            self._advance_all()

    def _advance_all(self) -> None:
        try:
            for batch in self._batches.open():
                if self._done.is_set():
                    return
                self._life.advance(batch)
        except RedisError as error:
            logger.warning("The broker is away (%s): batches wait for it.", error)
        except Exception:
            logger.exception("A batch could not go on. It is tried again.")
