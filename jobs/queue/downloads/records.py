"""The records of downloads: what was asked for, which worker has it, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from redis import Redis

from jobs.errors import DownloadInterruptedError, NotFoundError
from jobs.safe_text import safe_text

#: Ids of the newest downloads, ended ones too.
IDS = "captionq:downloads"
#: Most ids that are listed.
MOST_IDS = 200
RECORD = "captionq:download:"
#: A sign of life, without which a download that has not ended has lost its process.
ALIVE = "captionq:download-alive:"
CANCELLED = "captionq:download-cancelled:"
#: Ids that wait for any worker; with the name of a worker after it, for this one.
WISHES = "captionq:download-wishes:"
#: Seconds for which a record is kept after its last change, and a wish waits for a worker.
KEPT = 86_400


class DownloadStatus(StrEnum):
    """The state of a download."""

    #: It waits for a worker that downloads nothing else.
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: States after which nothing changes.
ENDED = (DownloadStatus.SUCCEEDED, DownloadStatus.FAILED, DownloadStatus.CANCELLED)


@dataclass(frozen=True)
class Download:
    """A download that a worker does, or was asked for."""

    id: str
    model: str
    #: Seconds since the epoch.
    created_at: float
    status: DownloadStatus = DownloadStatus.QUEUED
    #: The worker that was asked; empty: any.
    wanted: str = ""
    #: The worker that has taken the download; empty: none yet.
    worker: str = ""
    #: Bytes that are present, and bytes of all files; None: not known yet.
    done: int = 0
    total: int | None = None
    #: The code and the sentence of the error that a failed download met.
    error_code: str = ""
    error: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def as_json(self) -> str:
        """Return the record as it lies in Redis."""
        return json.dumps(asdict(self))


_FIELDS = [one.name for one in fields(Download)]


def find_download(connection: Redis, download_id: str) -> Download:
    """Return a download. Raises NotFoundError, RedisError."""
    found = _read(connection, [download_id])
    if not found:
        raise NotFoundError(f"Download '{safe_text(download_id)}' not found. Downloads are kept for a day.")
    return found[0]


def list_downloads(connection: Redis) -> list[Download]:
    """Return the downloads of the last day, the newest first. Raises RedisError."""
    ids: Any = connection.lrange(IDS, 0, MOST_IDS - 1)
    return _read(connection, [one.decode() for one in ids])


def _read(connection: Redis, ids: Sequence[str]) -> list[Download]:
    if not ids:
        return []
    # In one step: a download that ends between two reads would seem interrupted.
    texts: Any = connection.mget([*(RECORD + one for one in ids), *(ALIVE + one for one in ids)])
    records, signs = texts[: len(ids)], texts[len(ids) :]
    return [_record_of(text, alive=sign is not None) for text, sign in zip(records, signs, strict=True) if text]


def _record_of(text: bytes, *, alive: bool) -> Download:
    download = read_record(text)
    return download if alive or download.has_ended else interrupted(download)


def read_record(text: bytes) -> Download:
    """Read a record as it lies in Redis. A worker or an API of a newer version may have written more."""
    told = json.loads(text)
    download = Download(**{name: told[name] for name in _FIELDS if name in told})
    return replace(download, status=DownloadStatus(download.status))


def interrupted(download: Download) -> Download:
    """Return the record of a download whose process has died."""
    error = DownloadInterruptedError()
    return replace(download, status=DownloadStatus.FAILED, error_code=error.code, error=error.message)
