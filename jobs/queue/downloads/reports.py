"""Taking a download, and reporting how far it is: the worker's side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from redis import Redis

from jobs.queue.downloads.records import (
    ALIVE,
    CANCELLED,
    KEPT,
    RECORD,
    WISHES,
    Download,
    DownloadStatus,
    find_download,
    interrupted,
    read_record,
)
from jobs.queue.scripts import TAKE_WISH

#: Seconds for which a download counts as alive after a report; they come every second.
SILENT_AFTER = 15
#: Seconds until the first report: a process has to start and to import.
STARTS_WITHIN = 60


def take(connection: Redis, worker: str) -> Download | None:
    """Take the next download that waits for this worker, or for any; None: none waits. Raises RedisError."""
    found: Any = connection.eval(TAKE_WISH, 2, WISHES + worker, WISHES, RECORD, ALIVE, STARTS_WITHIN)
    if found is None:
        return None
    download = replace(read_record(found), status=DownloadStatus.RUNNING, worker=worker)
    connection.set(RECORD + download.id, download.as_json(), ex=KEPT)
    return download


def report(connection: Redis, download: Download) -> bool:
    """Report a running download as alive, and how far it is. Returns whether it was cancelled. Raises RedisError."""
    with connection.pipeline() as pipeline:
        pipeline.set(RECORD + download.id, download.as_json(), ex=KEPT)
        pipeline.set(ALIVE + download.id, "1", ex=SILENT_AFTER)
        pipeline.exists(CANCELLED + download.id)
        return bool(pipeline.execute()[-1])


def finish(connection: Redis, download: Download) -> None:
    """Report how a download has ended. Raises RedisError."""
    with connection.pipeline() as pipeline:
        pipeline.set(RECORD + download.id, download.as_json(), ex=KEPT)
        pipeline.delete(ALIVE + download.id)
        pipeline.execute()


def finish_dead(connection: Redis, download_id: str) -> Download:
    """Report a download as interrupted whose process has ended, unless it has said how. Returns it.

    Raises NotFoundError (the broker has lost everything), RedisError.
    """
    download = find_download(connection, download_id)
    if not download.has_ended:
        download = interrupted(download)
        finish(connection, download)
    return download
