"""Following the download of a model until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from api.errors.translation import stored_error
from api.runtime.resources import Resources
from jobs.errors import LeavingError, ModelUnavailableError, WorkerError
from jobs.queue.downloads.records import Download, DownloadStatus, find_download

#: Seconds between two looks at the record. The process that downloads writes it once a second.
LOOK_EVERY = 0.5
#: Seconds for which no worker may live while the download waits for one: a worker that died is started again meanwhile.
WITHOUT_WORKER = 30.0


async def follow_download(download: Download, resources: Resources) -> AsyncIterator[Download]:
    """Yield the download now and whenever it has changed, the last time when it has succeeded.

    Raises CaptionqError: the download's own error; ModelUnavailableError if it was cancelled; LeavingError if the server stops;
    WorkerError if no worker is there to take it; RedisError.
    """
    alone_since: float | None = None
    yield download
    while not download.has_ended:
        if resources.draining.is_set():
            raise LeavingError("The server is shutting down. Ask again later: the download goes on where it stopped.")
        await asyncio.sleep(LOOK_EVERY)
        before, download = download, await run_in_threadpool(find_download, resources.connection, download.id)
        if download != before:
            yield download
        waits = download.status is DownloadStatus.QUEUED and not await run_in_threadpool(_has_worker, resources)
        alone_since = (alone_since or time.monotonic()) if waits else None
        if alone_since is not None and time.monotonic() - alone_since > WITHOUT_WORKER:
            raise WorkerError("No worker is running. Start one with: captionq work. The download begins then.")
    if download.status is DownloadStatus.FAILED:
        raise stored_error(download.error_code, download.error)
    if download.status is DownloadStatus.CANCELLED:
        raise ModelUnavailableError(f"The download of '{download.model}' was cancelled.")
    resources.catalogue.look_again(download.model)


def _has_worker(resources: Resources) -> bool:
    return any(not worker.draining for worker in resources.workers())
