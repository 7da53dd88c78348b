"""The worker's side of downloads: it takes one at a time, starts its process, and says how the process has ended."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass
from multiprocessing.connection import Connection

from redis import Redis

from jobs.configuration.settings import Settings
from jobs.errors import NotFoundError, first_line
from jobs.own_process import start_helper
from jobs.queue.downloads.records import Download, DownloadStatus
from jobs.queue.downloads.reports import finish_dead, take
from jobs.safe_text import safe_text
from worker.downloads.download_process import Order

logger = logging.getLogger("captionq.worker")

#: Seconds for which a process may report its end when the worker ends.
_FAREWELL_SECONDS = 5.0


class Downloads:
    """The downloads of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: _Process | None = None

    def look(self, connection: Redis, worker: str, *, takes: bool) -> None:
        """Conclude a download that has ended, and begin the next one. To be called about every second. Raises RedisError.

        `takes`: whether the worker takes new work.
        """
        if self._running is not None:
            if self._running.popen.poll() is None:
                return
            _conclude(connection, self._running)
            self._running = None
        if takes and (download := _take(connection, worker)) is not None:
            logger.info("Downloading %s, which an admin asked for.", safe_text(download.model))
            try:
                self._running = _start(download, self._settings)
            except OSError as error:
                logger.warning("The download's process cannot be started: %s", first_line(error))
                finish_dead(connection, download.id)

    def close(self) -> None:
        """End the process, which reports that first. What it has downloaded stays."""
        if self._running is not None:
            self._running.worker_end.close()
            try:
                self._running.popen.wait(_FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:
                self._running.popen.kill()
                self._running.popen.wait()
            self._running = None


@dataclass(frozen=True)
class _Process:
    download: Download
    popen: subprocess.Popen[bytes]
    #: When it closes, by the death of the worker too, the process ends.
    worker_end: Connection


def _take(connection: Redis, worker: str) -> Download | None:
    try:
        return take(connection, worker)
    except (ValueError, TypeError, KeyError) as error:
        # Anything may stand in the queue.
        logger.warning("A wish for a download cannot be read (%s).", safe_text(first_line(error)))
        return None


def _start(download: Download, settings: Settings) -> _Process:
    popen, ours = start_helper("worker.downloads.download_process")
    try:
        ours.send(Order(settings, download))
    except OSError:
        popen.kill()
        popen.wait()
        raise
    return _Process(download, popen, ours)


def _conclude(connection: Redis, process: _Process) -> None:
    process.worker_end.close()
    name = safe_text(process.download.model)
    try:
        download = finish_dead(connection, process.download.id)
    except NotFoundError:
        logger.warning("The broker has lost the download of %s; its process has ended.", name)
        return
    if download.status is DownloadStatus.FAILED:
        logger.warning("%s was not downloaded: %s (exit status %d)", name, download.error, process.popen.returncode)
    else:
        logger.info("The download of %s has ended: %s.", name, download.status)
