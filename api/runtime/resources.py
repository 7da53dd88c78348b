"""The resources of a running API: opened once when it starts, and closed when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

from redis import Redis

from api.errors.retry_after import RETRY_WORKER
from api.middleware.request_metrics import RequestMetrics
from api.runtime.activity import Activity
from api.runtime.event_hub import EventHub
from api.runtime.model_catalogue import Catalogue
from jobs.configuration.settings import Settings
from jobs.errors import WorkerError
from jobs.images.stored.uploads import Uploads
from jobs.queue import broker
from jobs.queue.worker_state import WorkerState, live_workers
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.store import Store
from jobs.store.write_checks import check_room

#: Seconds for which the published states of the workers are kept.
WORKER_STATES_KEPT = 1.0


@dataclass
class Resources:
    """The objects that routes use."""

    settings: Settings
    store: Store
    connection: Redis
    hub: EventHub
    catalogue: Catalogue
    uploads: Uploads
    batches: FileBatches
    metrics: RequestMetrics
    activity: Activity
    #: Set when the process has been asked to stop: no new work is taken.
    draining: Event = field(default_factory=Event)
    #: Forms with files are read one at a time: each lies in memory, or on the disk, until it is whole.
    uploading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _workers: tuple[float, list[WorkerState]] = (0.0, [])
    _lock: Lock = field(default_factory=Lock)

    def workers(self) -> list[WorkerState]:
        """Return the states of all live workers. Raises RedisError."""
        with self._lock:
            asked_at, found = self._workers
            if not found or time.monotonic() - asked_at > WORKER_STATES_KEPT:
                found = live_workers(self.connection)
                self._workers = (time.monotonic(), found)
        return found

    def check_worker(self) -> None:
        """Make sure that the disk has room, and that a worker lives and takes jobs.

        Raises DiskFullError, WorkerError, RedisError.
        """
        check_room(self.settings)
        if all(worker.draining for worker in self.workers()):
            error = WorkerError(
                "No worker is ready. captionq serve needs some seconds to start its own; with --no-worker, start one: "
                "captionq work"
            )
            error.retry_after = RETRY_WORKER
            raise error


@contextmanager
def open_resources(settings: Settings, metrics: RequestMetrics, activity: Activity) -> Iterator[Resources]:
    """Open the resources for the block. Raises BrokerError, DatabaseError, DataFolderError."""
    settings.make_folders()
    store = Store(settings)
    queue_server = broker.find_or_start(settings)
    hub = EventHub(store, queue_server.connection, settings.max_streams)
    hub.start()
    try:
        yield Resources(
            settings,
            store,
            queue_server.connection,
            hub,
            Catalogue(settings),
            Uploads(store.engine),
            FileBatches(store.engine),
            metrics,
            activity,
        )
    finally:
        hub.close()
        queue_server.stop()
        store.close()
