"""Asking a worker for a download, and cancelling it: the API's side."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from redis import Redis
from rq.command import send_command

from jobs.errors import ConflictError, TooManyDownloadsError, WorkerError
from jobs.queue.downloads.records import (
    ALIVE,
    CANCELLED,
    IDS,
    KEPT,
    MOST_IDS,
    RECORD,
    WISHES,
    Download,
    DownloadStatus,
    find_download,
)
from jobs.queue.downloads.reports import finish
from jobs.queue.scripts import WISH
from jobs.queue.worker_state import live_workers
from jobs.queue.workers.draining import LOOK, find_worker
from jobs.safe_text import safe_text
from jobs.store.rows.ids import new_id

#: Most downloads that wait or run, of all workers.
MOST_OPEN = 16
#: Seconds that a worker needs to start, about.
_STARTS_WITHIN = 5.0


def wish(connection: Redis, model: str, worker: str | None = None) -> Download:
    """Ask a worker to download a model, and return the download: the one that is open already, or a new one.

    Args:
        model: the name, which has been checked (`jobs/models/pull_names.py`).
        worker: the worker's name or its beginning; None: the first one that takes the download.

    Raises WorkerError (no worker takes work), NotFoundError and InvalidRequestError (no or several workers have this name),
    ConflictError (the worker drains), TooManyDownloadsError, RedisError.
    """
    able, wanted = _asked_workers(connection, worker)
    download = Download(new_id("download"), model, time.time(), wanted=wanted)
    found: Any = connection.eval(
        WISH,
        2,
        IDS,
        WISHES + wanted,
        *(RECORD, ALIVE, CANCELLED, download.id, download.as_json(), model, wanted, MOST_OPEN, KEPT, MOST_IDS),
    )
    if found is None:
        raise TooManyDownloadsError(f"{MOST_OPEN} downloads wait or run already. Wait for one to end, or cancel one.")
    for name in able:
        send_command(connection, name, LOOK)
    return find_download(connection, found.decode())


def cancel(connection: Redis, download_id: str) -> Download:
    """Cancel a download, and return it. A process that downloads ends within a second or so; what is there stays in the cache.

    Raises NotFoundError; ConflictError if it has ended in another way; RedisError.
    """
    download = find_download(connection, download_id)
    if download.has_ended:
        if download.status is not DownloadStatus.CANCELLED:
            raise ConflictError(f"The download '{download_id}' has already {download.status}.")
        return download
    connection.set(CANCELLED + download_id, "1", ex=KEPT)
    # No worker has it: nothing else would end it.
    if connection.lrem(WISHES + download.wanted, 1, download_id):
        finish(connection, replace(download, status=DownloadStatus.CANCELLED))
    return find_download(connection, download_id)


def _asked_workers(connection: Redis, worker: str | None) -> tuple[list[str], str]:
    """Return the names of the workers that may take the download, and the name that was asked for; empty: any."""
    if worker is not None:
        found = find_worker(connection, worker)
        if found.draining:
            raise ConflictError(
                f"The worker '{safe_text(found.short_name)}' drains, and takes no download. Ask another."
            )
        return [found.name], found.name
    able = [one.name for one in live_workers(connection) if not one.draining]
    if not able:
        error = WorkerError("No worker is running, so nothing can be downloaded. Start one with: captionq work")
        error.retry_after = _STARTS_WITHIN
        raise error
    return able, ""
