"""The process that downloads a model for an admin, and reports how far it is every second.

It ends with its worker: when the worker closes its end of the pipe, or dies.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from jobs.configuration.settings import Settings
from jobs.errors import BrokerError, CaptionqError, ModelError, ModelNotFoundError
from jobs.models.adapters import split_name
from jobs.models.model_info import describe, is_built_in, weights_size
from jobs.models.pull_names import check_pull_name
from jobs.queue import broker
from jobs.queue.downloads.records import Download, DownloadStatus, interrupted
from jobs.queue.downloads.reports import finish, report
from jobs.safe_text import safe_text
from worker.models.download import OnProgress, check_room, download_size, fetch

#: Seconds between two reports, and between two tries to reach a broker that is away.
REPORT_EVERY = 1.0
#: Seconds for which the end of a download is reported to a broker that is away.
_PATIENCE = 60.0
#: How much less of the processor the process gets than the worker, which generates (nice).
_NICE = 5
#: Most characters of a reported error.
_MAX_ERROR = 500


@dataclass(frozen=True)
class Order:
    """The worker's message to the process."""

    settings: Settings
    download: Download


def main(descriptor: int) -> None:
    """Download for the worker at the other end of the socket with this file descriptor."""
    with Connection(descriptor) as worker:
        order: Order = worker.recv()
        os.nice(_NICE)
        reports = _Reports(order)
        threading.Thread(target=reports.repeat, daemon=True).start()
        threading.Thread(target=_end_with_worker, args=(worker, reports), daemon=True).start()
        try:
            _download(order.download.model, reports.progress)
        except CaptionqError as error:
            reports.end(DownloadStatus.FAILED, error_code=error.code, error=safe_text(error.message)[:_MAX_ERROR])
        except Exception as error:
            # Not its message, which may hold an address with a signature.
            place = traceback.extract_tb(error.__traceback__)[-1]
            words = f"{type(error).__name__} in {place.name} of {Path(place.filename).name}"
            reports.end(DownloadStatus.FAILED, error_code=CaptionqError.code, error=words)
        else:
            reports.end(DownloadStatus.SUCCEEDED)


def _download(name: str, on_progress: OnProgress) -> None:
    """Download a model, or the rest of it. Raises CaptionqError."""
    # The queue may hold anything.
    check_pull_name(name)
    _check_no_folder(name)
    model = describe(name)
    if model.path is not None:
        here = weights_size(*model.folders)
        on_progress(here, here)
        return
    size = download_size(name)
    on_progress(size.total - size.missing, size.total)
    check_room(name, size, names_folder=False)
    fetch(name, on_progress, every=0.0, shown=False)
    if describe(name).path is None:
        raise ModelError(f"'{name}' has no weights in the safetensors format. Use a version made for mlx.")


def _check_no_folder(name: str) -> None:
    """Check that no folder has this name, which the worker would take for the model. Raises ModelNotFoundError."""
    for part in split_name(name):
        if part is not None and not is_built_in(part) and Path(part).is_dir():
            raise ModelNotFoundError(
                f"'{part}' is a folder where the worker runs, so the model cannot be asked for there."
            )


def _end_with_worker(worker: Connection, reports: _Reports) -> None:
    with suppress(EOFError, OSError):
        worker.recv()
    lost = interrupted(reports.download)
    reports.end(lost.status, patience=0.0, error_code=lost.error_code, error=lost.error)
    os._exit(1)


class _Reports:
    """The reports of one download. Threads share them; the first end counts."""

    def __init__(self, order: Order) -> None:
        self._settings = order.settings
        self._download = order.download
        self._bytes: tuple[int, int | None] = (0, None)
        self._connection: Redis | None = None
        self._sending = threading.RLock()

    @property
    def download(self) -> Download:
        """The download as it is now."""
        done, total = self._bytes
        return replace(self._download, done=done, total=total)

    def progress(self, done: int, total: int) -> None:
        """Note how far the download is, for the next report."""
        # Without the lock: a broker that is away must not delay the download.
        self._bytes = (done, total)

    def repeat(self) -> None:
        """Report every second, until a report has said that the download is cancelled."""
        while True:
            # While the broker is away, the sign of life may end. It comes back with the broker.
            with self._sending, suppress(RedisError, BrokerError):
                if self._download.has_ended:
                    return
                if (connection := self._reach()) is not None and report(connection, self.download):
                    self.end(DownloadStatus.CANCELLED)
                    os._exit(0)
            time.sleep(REPORT_EVERY)

    def end(self, status: DownloadStatus, *, patience: float = _PATIENCE, **error: Any) -> None:
        """Report the end, for at most `patience` seconds if the broker is away. A later end changes nothing."""
        deadline = time.monotonic() + patience
        with self._sending:
            if self._download.has_ended:
                return
            self._download = replace(self._download, status=status, **error)
            while True:
                with suppress(RedisError, BrokerError):
                    if (connection := self._reach()) is not None:
                        finish(connection, self.download)
                        return
                if time.monotonic() >= deadline:
                    # The record's sign of life ends, and says the rest.
                    return
                time.sleep(REPORT_EVERY)

    def _reach(self) -> Redis | None:
        self._connection = self._connection or broker.find(self._settings)
        return self._connection
