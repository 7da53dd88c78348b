"""What a running API holds: made once when it starts, and closed when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

from redis import Redis

from api.middleware.request_metrics import RequestMetrics
from api.runtime.event_hub import EventHub
from api.runtime.model_catalogue import Catalogue
from jobs.errors import WorkerError
from jobs.images.uploads import Uploads
from jobs.queue import broker
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.settings import Settings
from jobs.store.store import Store

#: Seconds for which what the workers say of themselves need not be asked again.
FRESH = 1.0
#: Seconds after which it may be worth trying again when no worker lives: one that was started needs about so long.
WORKER_BACK = 5.0


@dataclass
class Resources:
    """Everything that a route may need."""

    settings: Settings
    store: Store
    connection: Redis
    hub: EventHub
    catalogue: Catalogue
    uploads: Uploads
    metrics: RequestMetrics
    #: Set when the process has been asked to end: nothing new is taken.
    draining: Event = field(default_factory=Event)
    #: Forms with files are read one at a time: they lie in memory, or on the disk, until they are whole.
    uploading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _workers: tuple[float, list[WorkerState]] = (0.0, [])
    _lock: Lock = field(default_factory=Lock)

    def workers(self) -> list[WorkerState]:
        """Those that live. Raises RedisError."""
        with self._lock:
            asked_at, found = self._workers
            if not found or time.monotonic() - asked_at > FRESH:
                found = live_workers(self.connection)
                self._workers = (time.monotonic(), found)
        return found

    def check_worker(self) -> None:
        """Raises WorkerError when nobody would answer, RedisError."""
        if not self.workers():
            error = WorkerError("No worker runs, so nobody would answer now. Start one: captionq work")
            error.retry_after = WORKER_BACK
            raise error


@contextmanager
def open_resources(settings: Settings, metrics: RequestMetrics) -> Iterator[Resources]:
    """For the life of the process. Raises BrokerError, DatabaseError, DataFolderError."""
    settings.make_folders()
    store = Store(settings)
    queue_server = broker.find_or_start(settings)
    hub = EventHub(store, queue_server.connection, settings.max_streams)
    hub.start()
    try:
        yield Resources(
            settings, store, queue_server.connection, hub, Catalogue(settings), Uploads(store.engine), metrics
        )
    finally:
        hub.close()
        queue_server.stop()
        store.close()
