"""Pausing a run: its queued jobs wait until it is resumed, on all workers and across restarts. Running jobs end."""

from __future__ import annotations

import time

from redis import Redis

from jobs.errors import ConflictError
from jobs.queue.feeding import feed
from jobs.queue.lanes import rows_first
from jobs.queue.reconcile import reconcile
from jobs.safe_text import safe_text
from jobs.store.store import Store
from jobs.store.tables import Batch


def pause(batch_id: str, *, store: Store, connection: Redis | None) -> Batch:
    """Pause a run, and return it. A run that is paused already stays so.

    Without a connection, or when the broker is away, only the row changes: no worker claims a job of a paused run.
    Raises NotFoundError; ConflictError if the run has ended.
    """
    batch = store.batch(batch_id)
    if batch.paused_at is not None:
        return batch
    if not store.pause(batch_id, time.time()):
        raise ConflictError(f"Nothing to pause: all jobs of {safe_text(batch_id)} have ended.")
    if connection is not None:
        with rows_first():
            feed(store, connection)
    return store.batch(batch_id)


def resume(batch_id: str, *, store: Store, connection: Redis | None) -> Batch:
    """Let the queued jobs of a run have their turn again, and return the run. A run that is not paused stays as it is.

    `connection`: see `pause`. Raises NotFoundError.
    """
    store.batch(batch_id)
    store.resume(batch_id)
    if connection is not None:
        with rows_first():
            # A run may have urgent jobs too.
            reconcile(store, connection)
    return store.batch(batch_id)
